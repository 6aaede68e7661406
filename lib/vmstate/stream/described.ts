import { VmstateError } from '../../errors.ts'
import { ByteReader, parseWithin } from './bytes.ts'
import type { Parser } from './bytes.ts'
import { findDescriptions, findLastDescription, readDescription } from './description.ts'
import type { DescriptionPlace } from './description.ts'
import type { Elements } from './elements.ts'
import { malformed, overLimit } from './errors.ts'
import { DESCRIPTION_CANDIDATE_LIMIT } from './limits.ts'

/** The bytes of a stream from its first device on, which are kept in memory. */
export interface HeldBytes {
  readonly bytes: Buffer
  /** The offset of these bytes in the stream. */
  readonly offset: number
  /** False if there were more bytes than the limit. */
  readonly isWhole: boolean
}

/** The devices of a stream, read by a description that fits them exactly. */
export interface Described {
  /** All elements of the stream. */
  readonly elements: Elements
  /** The place of the description in the held bytes. */
  readonly place: DescriptionPlace
}

/** No description fits. `reason` says why the first place that looks like one does not. */
export interface Undescribed {
  readonly reason?: VmstateError
}

/**
 * Reads the devices in the held bytes by the description at the end.
 *
 * A stream from a qcow2 image or a block device has other bytes behind its description. Then each place
 * that looks like a description is tried. Exactly one must fit: a guest can write bytes that look like a
 * description into a device, and so could otherwise choose how its devices are read.
 */
export function* readDescribed(
  elements: Elements,
  held: HeldBytes,
): Parser<Described | Undescribed> {
  let last: DescriptionPlace | undefined
  let lastError: VmstateError | undefined
  if (held.isWhole) {
    try {
      last = findLastDescription(held.bytes, held.offset)
      if (last !== undefined) return yield* readBy(elements, held, last)
    } catch (error) {
      if (!(error instanceof VmstateError)) throw error
      lastError = error
    }
  }
  const others = yield* readByOthers(elements, held, last)
  if ('place' in others || lastError === undefined) return others
  throw lastError
}

function* readByOthers(
  elements: Elements,
  held: HeldBytes,
  last: DescriptionPlace | undefined,
): Parser<Described | Undescribed> {
  const { bytes, offset } = held
  const places = findDescriptions(bytes, DESCRIPTION_CANDIDATE_LIMIT + 1)
  if (places.length > DESCRIPTION_CANDIDATE_LIMIT) {
    throw overLimit(
      `More than ${DESCRIPTION_CANDIDATE_LIMIT} places look like the description of the devices`,
      offset,
    )
  }
  let found: Described | undefined
  let reason: VmstateError | undefined
  for (const place of places) {
    if (place.start === last?.start) continue
    yield 'pause'
    let described: Described
    try {
      described = yield* readBy(elements, held, place)
    } catch (error) {
      if (!(error instanceof VmstateError)) throw error
      reason ??= error
      continue
    }
    if (found !== undefined) {
      throw malformed(
        `The description at byte ${offset + found.place.start} fits the devices, and so does the one at byte ${offset + place.start}; cut off what is behind the right one`,
        offset + found.place.start,
      )
    }
    found = described
  }
  return found ?? (reason === undefined ? {} : { reason })
}

/** @throws VmstateError if the description does not fit */
function* readBy(
  before: Elements,
  { bytes, offset }: HeldBytes,
  place: DescriptionPlace,
): Parser<Described> {
  const devices = readDescription(bytes, place, offset)
  yield 'pause'
  const elements = before.fork()
  const reader = new ByteReader(offset, 'The description begins')
  yield* parseWithin(elements.read(reader, devices.values()), bytes.subarray(0, place.start))
  if (reader.offset !== offset + place.start) {
    throw malformed(
      `The end mark is here, and the description begins only at byte ${offset + place.start}`,
      reader.offset - 1,
    )
  }
  if (elements.devices.length < devices.length) {
    const missed = devices.length - elements.devices.length
    throw malformed(
      `Devices in the description that are not in the stream: ${missed}`,
      reader.offset,
    )
  }
  return { elements, place }
}
