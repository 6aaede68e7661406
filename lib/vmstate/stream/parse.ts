import { ByteReader, parseAll } from './bytes.ts'
import type { Parser } from './bytes.ts'
import { readConfiguration } from './configuration.ts'
import type { Configuration } from './configuration.ts'
import { findDescription } from './description.ts'
import { Elements, Mark } from './elements.ts'
import { malformed, missing, truncated, unknownVersion } from './errors.ts'
import { HELD_LIMIT } from './limits.ts'
import { searchTimebase } from './search.ts'
import { describedTimebase } from './timebase.ts'
import type { QemuStream, QemuTimebase } from './types.ts'
import { WRAPPER_BYTES, wrapperHint } from './wrappers.ts'

const MAGIC = Buffer.from('QEVM')
const VERSION = 3

/**
 * A whole migration stream, from its first byte to its last.
 *
 * Nothing but the description at the end says how long the devices are, so what comes from the first
 * device on is held until then; RAM, which comes before, is passed over.
 */
export function* parseStream(reader: ByteReader, search: boolean): Parser<QemuStream> {
  yield* readHeader(reader)
  const configuration = yield* readConfigurationIfAny(reader)
  const elements = new Elements(configuration?.capabilities ?? [])
  const stoppedAt = yield* elements.read(reader)
  const offset = reader.offset
  const held = yield* reader.rest(HELD_LIMIT, 'devices and description')
  if (stoppedAt === 'end' && held.length > 0) {
    throw malformed(`${held.length} bytes follow the end mark`, offset)
  }
  const found = findDescription(held, offset)
  if (found === undefined) {
    return toStream(configuration, elements, undescribed(elements, held, offset, search))
  }
  const bytes = held.subarray(0, found.start)
  const rest = new ByteReader(offset, 'The description begins')
  const described = found.devices.values()
  parseAll(elements.read(rest, described), bytes)
  if (rest.offset !== offset + found.start) {
    throw malformed(
      `The end mark is here, and the description begins only at byte ${offset + found.start}`,
      rest.offset - 1,
    )
  }
  if (elements.devices.length < found.devices.length) {
    const missed = found.devices.length - elements.devices.length
    throw malformed(`Devices in the description that are not in the stream: ${missed}`, rest.offset)
  }
  const { devices } = elements
  const timebase = describedTimebase({
    machine: configuration?.machine,
    devices,
    described: found.devices,
    bytes,
    base: offset,
  })
  return toStream(configuration, elements, timebase)
}

function* readHeader(reader: ByteReader): Parser<void> {
  if (yield* reader.isAtEnd()) throw truncated('The stream is empty', 0)
  yield* reader.need(4, 'the magic number')
  const magic = reader.bytes(4)
  if (!magic.equals(MAGIC)) {
    const start = [...magic]
    while (start.length < WRAPPER_BYTES && !(yield* reader.isAtEnd())) start.push(reader.u8())
    throw malformed(
      `This is no migration stream of QEMU: it does not begin with "QEVM"${wrapperHint(start)}`,
      0,
    )
  }
  yield* reader.need(4, 'the version of the stream')
  const at = reader.offset
  const version = reader.u32()
  if (version !== VERSION) {
    throw unknownVersion(
      `The stream has version ${version}; this release reads version ${VERSION}`,
      at,
    )
  }
}

function* readConfigurationIfAny(reader: ByteReader): Parser<Configuration | undefined> {
  yield* reader.need(1, 'what follows the header')
  if (reader.peek() !== Mark.CONFIGURATION) return undefined
  reader.pass(1)
  return yield* readConfiguration(reader)
}

/** The timebase of a stream without a description, if the caller wants it to be looked for. */
function undescribed(
  { packages, footers }: Elements,
  held: Buffer,
  offset: number,
  search: boolean,
): QemuTimebase {
  const end = offset + held.length
  if (held.length > 0 && held.at(-1) !== Mark.END) {
    throw truncated(
      'The stream ends neither with an end mark nor with a description: it was cut off or damaged',
      end,
    )
  }
  const parts = held.length > 0 ? [...packages, { offset, bytes: held }] : packages
  if (parts.length === 0) throw missing('There are no devices in the stream', end)
  if (!search) {
    throw missing(
      'The stream has no description at its end: it was cut off, or made without one, in which case the option search looks for its timebase',
      end,
    )
  }
  return searchTimebase(parts, footers)
}

function toStream(
  configuration: Configuration | undefined,
  elements: Elements,
  timebase: QemuTimebase,
): QemuStream {
  const { ram, htab, sections, partSections, commands, devices, footers } = elements
  return {
    capabilities: [],
    ...configuration,
    footers: footers ?? false,
    ramBlocks: ram.blocks,
    ...(htab.shift === undefined ? {} : { htabShift: htab.shift }),
    sections,
    partSections,
    commands,
    described: !timebase.searched,
    devices,
    timebase,
  }
}
