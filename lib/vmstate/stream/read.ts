import { checkObject, checkOptionNames, wrongType } from '../../checks.ts'
import { ByteReader } from './bytes.ts'
import { parseStream, parseTimebase } from './parse.ts'
import { openSource, parseSource } from './source.ts'
import type { QemuStream, QemuStreamOptions, QemuStreamSource, QemuTimebase } from './types.ts'

/**
 * Reads a whole migration stream of a pseries guest. It can be one that QEMU's `migrate` wrote to a file or
 * sends through a pipe, or one in a save image of libvirt: unpacked, sparse, or packed with gzip or, if this
 * version of Node has it, zstd. From a qcow2 image the VM state of a snapshot is read, which `savevm` or an
 * internal snapshot of libvirt has put there; such an image must be in a file or in memory, not come from a
 * pipe.
 *
 * The stream is read once, from front to back, and checked throughout. The guest's RAM is skipped and takes
 * no memory. Devices are kept in memory until the description at the end of the stream is read: 64 MiB at
 * most, together with the description. A source with more bytes is closed or destroyed at the end, also
 * after an error.
 *
 * @param source the path of a file, the bytes themselves, which must not change until the promise
 *   settles, or a Readable (any AsyncIterable) of them
 * @param options whether to search a stream without a description, and which snapshot to read
 * @throws VmstateError, with the offset of the byte at which the problem was found:
 *   ERR_VMSTATE_FORMAT if it is not such a stream, or damaged; ERR_VMSTATE_TRUNCATED if it ends too early;
 *   ERR_VMSTATE_MISSING if it has no timebase, or no description and `search` is not set or does not find
 *   exactly one place, or if a qcow2 image does not have exactly one such snapshot; ERR_VMSTATE_VERSION and
 *   ERR_VMSTATE_UNSUPPORTED for something that this release does not read; ERR_VMSTATE_LIMIT if it is beyond
 *   one of the reader's limits
 * @throws TypeError for arguments of the wrong type; errors of reading the source are passed on
 * @example
 * ```ts
 * const { machine, sections } = await readQemuStream('guest.stream')
 * ```
 * @group Streams
 */
export async function readQemuStream(
  source: QemuStreamSource,
  options: QemuStreamOptions = {},
): Promise<QemuStream> {
  checkOptions(options)
  return readStream(source, options, fileOf(source))
}

function checkOptions(options: QemuStreamOptions): void {
  checkObject('options', options)
  checkOptionNames('options', options, ['search', 'snapshot'])
  const { search = false, snapshot } = options
  if (typeof search !== 'boolean') throw wrongType('options.search', 'a boolean', search)
  if (snapshot !== undefined && typeof snapshot !== 'string') {
    throw wrongType('options.snapshot', 'a string', snapshot)
  }
}

function fileOf(source: QemuStreamSource): string | undefined {
  return typeof source === 'string' ? source : undefined
}

/** {@link readQemuStream} without the checks; `file` is the path of the stream, for the commands in errors. */
export async function readStream(
  source: QemuStreamSource,
  { search = false, snapshot: wanted }: QemuStreamOptions,
  file?: string,
): Promise<QemuStream> {
  const { bytes, snapshot } = await openSource(source, wanted)
  const stream = await parseSource(parseStream(new ByteReader(), { search, file }), bytes)
  return snapshot === undefined ? stream : { ...stream, snapshot }
}

/**
 * Reads the timebase from a migration stream of a pseries guest. The whole stream is read and checked, as
 * {@link readQemuStream} does.
 *
 * @param source a path, bytes, or an iterable of bytes
 * @param options whether to search a stream without a description
 * @throws as {@link readQemuStream}
 * @example
 * ```ts
 * const { guestTimebase } = await readQemuTimebase('guest.stream')
 * ```
 * @group Streams
 */
export async function readQemuTimebase(
  source: QemuStreamSource,
  options: QemuStreamOptions = {},
): Promise<QemuTimebase> {
  checkOptions(options)
  const { bytes } = await openSource(source, options.snapshot)
  const { search = false } = options
  return parseSource(parseTimebase(new ByteReader(), { search, file: fileOf(source) }), bytes)
}
