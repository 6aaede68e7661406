import type { ByteReader, Parser } from './bytes.ts'
import { overLimit, unknownVersion, unsupported } from './errors.ts'
import { LIBVIRT_HEADER_LIMIT } from './limits.ts'
import { canUnpack, needsNewerNode } from './unpack.ts'

/** The formats by their number in libvirt's header (src/qemu/qemu_saveimage_format.h). */
const FORMATS = ['raw', 'gzip', 'bzip2', 'xz', 'lzop', 'zstd', 'sparse'] as const

/**
 * The format in which libvirt packed the stream of a save image.
 *
 * @group Streams
 */
export type QemuLibvirtFormat = (typeof FORMATS)[number]

/**
 * The header of libvirt's save image, which is in front of QEMU's stream (src/qemu/qemu_saveimage.c).
 *
 * @group Streams
 */
export interface QemuLibvirtImage {
  /** The domain's name in its XML. */
  readonly domain?: string
  /** The domain's machine type in its XML. */
  readonly machine?: string
  /** The format of the stream; `sparse` is a stream with mapped-ram. */
  readonly format: QemuLibvirtFormat
  /** The offset of the stream, packed or not, in the image, in bytes. All other offsets are in the stream. */
  readonly streamOffset: number
}

export const LIBVIRT_MAGIC = 'LibvirtQemudSave'

/** u32 each: version, length of the data, whether the domain ran, format, offset of the cookie, 14 unused. */
const HEADER_BYTES = 19 * 4
const NEWEST_VERSION = 3

/**
 * Reads the header, whose magic number was read already, and the domain's XML. The header has the byte order
 * of the host that wrote it, which the version tells. Afterwards the reader is at the stream, unpacked.
 *
 * @param file the path of the image, for the command in an error
 */
export function* readLibvirtImage(reader: ByteReader, file?: string): Parser<QemuLibvirtImage> {
  yield* reader.need(HEADER_BYTES, "the header of libvirt's image")
  const at = reader.offset
  const header = reader.bytes(HEADER_BYTES)
  const isKnown = (version: number) => version >= 1 && version <= NEWEST_VERSION
  const isBig = !isKnown(header.readUInt32LE(0))
  const u32 = (index: number) =>
    isBig ? header.readUInt32BE(4 * index) : header.readUInt32LE(4 * index)
  if (!isKnown(u32(0))) {
    throw unknownVersion(
      `This save image of libvirt has version ${header.readUInt32LE(0)}; this release reads versions 1 to ${NEWEST_VERSION}`,
      at,
    )
  }
  const length = u32(1)
  if (length > LIBVIRT_HEADER_LIMIT) {
    throw overLimit(
      `The XML in this save image of libvirt has ${length} bytes, more than ${LIBVIRT_HEADER_LIMIT}`,
      at + 4,
    )
  }
  const format = FORMATS[u32(3)]
  if (format === undefined) {
    throw unsupported(
      `This save image of libvirt has the format ${u32(3)}; this release knows ${FORMATS.join(', ')}`,
      at + 12,
    )
  }
  const xml = yield* reader.take(length, "the XML in libvirt's image")
  const streamOffset = reader.offset
  yield* passTo(reader, format, file)
  return { ...domainOf(xml), format, streamOffset }
}

function* passTo(reader: ByteReader, format: QemuLibvirtFormat, file?: string): Parser<void> {
  if (format === 'raw' || format === 'sparse') {
    reader.startHere()
    return
  }
  if ((format === 'gzip' || format === 'zstd') && canUnpack(format)) {
    yield* reader.unpackHere(format)
    return
  }
  const reason =
    format === 'zstd' ? needsNewerNode() : `It is packed with ${format}, which Node cannot unpack`
  throw unsupported(
    `This is a save image of libvirt. ${reason}. This command unpacks the stream: tail -c +${reader.offset + 1} ${quoted(file)} | ${format} -dc > guest.stream`,
    reader.offset,
  )
}

/** A path, quoted for the shell if necessary. */
function quoted(file = 'FILE'): string {
  return /^[\w./+:@%-]+$/.test(file) ? file : `'${file.replaceAll("'", String.raw`'\''`)}'`
}

/**
 * The name and machine type of a domain. An XML parser is not needed: libvirt itself writes the XML, with
 * every element on a line of its own and two spaces for each level. Only `<metadata>` comes from others, and
 * is left out.
 */
function domainOf(data: Buffer): Pick<QemuLibvirtImage, 'domain' | 'machine'> {
  const end = data.indexOf(0)
  const text = data.toString('utf8', 0, end === -1 ? data.length : end)
  const [before = '', after = ''] = text.split(/^ {2}<metadata>$/m)
  const name = /^ {2}<name>([^<]+)<\/name>$/m.exec(before)?.[1]
  const rest =
    after === '' ? before : after.slice(Math.max(after.lastIndexOf('\n  </metadata>\n'), 0))
  const machine = /^ {2}<os\b[^>\n]*>\n {4}<type\b[^>\n]* machine='([^'\n]+)'/m.exec(rest)?.[1]
  return {
    ...(name === undefined ? {} : { domain: unescaped(name) }),
    ...(machine === undefined ? {} : { machine: unescaped(machine) }),
  }
}

const entities: Readonly<Record<string, string>> = {
  '&amp;': '&',
  '&lt;': '<',
  '&gt;': '>',
  '&quot;': '"',
  '&apos;': "'",
}

function unescaped(text: string): string {
  return text.replace(/&(?:amp|lt|gt|quot|apos);/g, (entity) => entities[entity] ?? entity)
}
