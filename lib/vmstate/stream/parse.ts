import type { VmstateError } from '../../errors.ts'
import type { ByteReader, Parser } from './bytes.ts'
import { readConfiguration } from './configuration.ts'
import type { Configuration } from './configuration.ts'
import { readDescribed } from './described.ts'
import { Elements, Mark } from './elements.ts'
import { malformed, missing, overLimit, truncated, unknownVersion } from './errors.ts'
import { decodeDevices } from './fields.ts'
import type { PlacedDevice } from './fields.ts'
import { LIBVIRT_MAGIC, readLibvirtImage } from './libvirt.ts'
import type { QemuLibvirtImage } from './libvirt.ts'
import { HELD_LIMIT } from './limits.ts'
import { RamReader } from './ram.ts'
import { searchTimebase } from './search.ts'
import { describedTimebase } from './timebase.ts'
import type { QemuStream, QemuTimebase } from './types.ts'
import { WRAPPER_BYTES, wrapperHint } from './wrappers.ts'

const MAGIC = Buffer.from('QEVM')
const VERSION = 3

export interface ParseOptions {
  readonly search: boolean
  /** The path of the file, if it has one, for the commands in errors. */
  readonly file?: string | undefined
}

/** A stream whose devices are not decoded yet. */
interface ParsedStream extends Omit<QemuStream, 'devices'> {
  readonly devices: readonly PlacedDevice[]
}

/** Parses a whole migration stream, from its first byte to its last. */
export function* parseStream(reader: ByteReader, options: ParseOptions): Parser<QemuStream> {
  const parsed = yield* parse(reader, options)
  return { ...parsed, devices: yield* decodeDevices(parsed.devices) }
}

/** Like {@link parseStream}, but the values in the devices are not decoded: only the timebase is wanted. */
export function* parseTimebase(reader: ByteReader, options: ParseOptions): Parser<QemuTimebase> {
  return (yield* parse(reader, options)).timebase
}

/**
 *
 * Only the description at the end says how long the devices are, so everything from the first device on is
 * kept in memory until then. RAM, which comes before, is skipped.
 */
function* parse(reader: ByteReader, { search, file }: ParseOptions): Parser<ParsedStream> {
  const libvirt = yield* readHeader(reader, file)
  const stream = yield* parseElements(reader, search)
  return libvirt === undefined ? stream : { ...stream, libvirt }
}

function* parseElements(reader: ByteReader, search: boolean): Parser<ParsedStream> {
  const configuration = yield* readConfigurationIfAny(reader)
  const elements = new Elements(new RamReader(configuration?.capabilities ?? []))
  const stoppedAt = yield* elements.read(reader)
  if (stoppedAt === 'end') {
    const end = reader.offset
    const trailing = yield* reader.countRest(HELD_LIMIT)
    if (trailing > 0 && elements.packages.length === 0) {
      throw malformed(`${trailing} bytes follow the end mark, and no device comes before it`, end)
    }
    const timebase = undescribedTimebase(elements, reader.offset, search)
    return toStream(configuration, elements, timebase, trailing)
  }
  const offset = reader.offset
  const bytes = yield* reader.rest(HELD_LIMIT - elements.packageBytes)
  const isWhole = yield* reader.isAtEnd()
  const described = yield* readDescribed(elements, { bytes, offset, isWhole })
  if ('place' in described) {
    const { devices } = described.elements
    const { place } = described
    const trailing = bytes.length - place.end + (yield* reader.countRest(HELD_LIMIT))
    const timebase = describedTimebase(devices, configuration?.machine, offset + place.start)
    return toStream(configuration, described.elements, timebase, trailing)
  }
  if (!isWhole) throw overLimit(`More than ${HELD_LIMIT} bytes of devices and description`, offset)
  checkEndMark(bytes, offset)
  elements.packages.push({ offset, bytes })
  const timebase = undescribedTimebase(elements, reader.offset, search, described.reason)
  return toStream(configuration, elements, timebase, 0)
}

/** Reads up to the configuration. The header of a save image may precede the stream. */
function* readHeader(reader: ByteReader, file?: string): Parser<QemuLibvirtImage | undefined> {
  if (yield* reader.isAtEnd()) throw truncated('The stream is empty', 0)
  yield* reader.need(4, 'the magic number')
  let magic = reader.bytes(4)
  let image: QemuLibvirtImage | undefined
  let what = 'This'
  if (!magic.equals(MAGIC)) {
    const start = yield* readStart(reader, magic)
    if (start !== LIBVIRT_MAGIC) throw notAStream(what, start)
    image = yield* readLibvirtImage(reader, file)
    what = `What follows the header of libvirt's ${image.format} image`
    if (yield* reader.isAtEnd()) throw truncated(`Nothing follows the header of libvirt's image`, 0)
    yield* reader.need(4, 'the magic number')
    magic = reader.bytes(4)
    if (!magic.equals(MAGIC)) throw notAStream(what, yield* readStart(reader, magic))
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
  return image
}

/** Reads the first bytes of a file that is not a stream, as Latin-1. */
function* readStart(reader: ByteReader, magic: Buffer): Parser<string> {
  let start = magic.toString('latin1')
  while (start.length < WRAPPER_BYTES && !(yield* reader.isAtEnd())) {
    start += String.fromCharCode(reader.u8())
  }
  return start
}

function notAStream(what: string, start: string): VmstateError {
  return malformed(
    `${what} is not a migration stream of QEMU: it does not begin with "QEVM"${wrapperHint(start)}`,
    0,
  )
}

function* readConfigurationIfAny(reader: ByteReader): Parser<Configuration | undefined> {
  yield* reader.need(1, 'what follows the header')
  if (reader.peek() !== Mark.CONFIGURATION) return undefined
  reader.pass(1)
  return yield* readConfiguration(reader)
}

function checkEndMark(held: Buffer, offset: number): void {
  if (held.at(-1) === Mark.END) return
  throw truncated(
    'The stream ends neither with an end mark nor with a description: it was cut off or damaged',
    offset + held.length,
  )
}

/** The timebase of a stream without a description, if the caller allows a search for it. */
function undescribedTimebase(
  { packages, footers }: Elements,
  end: number,
  search: boolean,
  reason?: VmstateError,
): QemuTimebase {
  if (packages.length === 0) throw missing('There are no devices in the stream', end)
  if (search) return searchTimebase(packages, footers)
  const looksLikeOne =
    reason === undefined ? '' : `; something looks like one, but: ${reason.message}`
  throw missing(
    `The stream has no description at its end: it was cut off, or made without one, in which case the option search looks for its timebase${looksLikeOne}`,
    end,
  )
}

function toStream(
  configuration: Configuration | undefined,
  elements: Elements,
  timebase: QemuTimebase,
  trailing: number,
): ParsedStream {
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
    ...(trailing === 0 ? {} : { trailingBytes: trailing }),
  }
}
