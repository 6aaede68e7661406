import { checkObject, checkOptionNames, wrongType } from '../../checks.ts'
import { ByteReader } from './bytes.ts'
import { parseStream } from './parse.ts'
import { parseSource } from './source.ts'
import type { QemuStream, QemuStreamOptions, QemuStreamSource, QemuTimebase } from './types.ts'

/**
 * Reads a whole migration stream of a pseries guest, which QEMU's `migrate` wrote to a file or sends
 * through a pipe, or that is in a save image of libvirt: unpacked, sparse, or packed with gzip or (where
 * Node has it) zstd.
 *
 * The stream is read once, from front to back, and checked throughout. The guest's RAM is passed over
 * and takes no memory; devices are held until the description at the end of the stream says what they
 * are, up to 64 MiB together with it. A source that can be read on is closed or destroyed at the end,
 * and also when there is an error.
 *
 * @param source the path of a file, the bytes themselves, which must not change until the promise
 *   settles, or a Readable (any AsyncIterable) of them
 * @param options whether to search a stream without a description
 * @throws VmstateError, with the offset of the byte at which something is wrong:
 *   ERR_VMSTATE_FORMAT if it is not such a stream, or damaged; ERR_VMSTATE_TRUNCATED if it ends too early;
 *   ERR_VMSTATE_MISSING if it has no description, and `search` is not set or there is not exactly one
 *   place that fits, or if it has no timebase; ERR_VMSTATE_VERSION and ERR_VMSTATE_UNSUPPORTED for
 *   what this release does not know; ERR_VMSTATE_LIMIT for more than it holds
 * @throws TypeError for arguments of the wrong type; the errors of reading the source as they are
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
  checkObject('options', options)
  checkOptionNames('options', options, ['search'])
  const { search = false } = options
  if (typeof search !== 'boolean') throw wrongType('options.search', 'a boolean', search)
  return readStream(source, search, typeof source === 'string' ? source : undefined)
}

/** The same; `file` is the path that the bytes come from, for the commands in errors. */
export function readStream(
  source: QemuStreamSource,
  search: boolean,
  file?: string,
): Promise<QemuStream> {
  return parseSource(parseStream(new ByteReader(), { search, file }), source)
}

/**
 * Takes the timebase out of a migration stream of a pseries guest. Everything is read and checked as
 * {@link readQemuStream} does it.
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
  const { timebase } = await readQemuStream(source, options)
  return timebase
}
