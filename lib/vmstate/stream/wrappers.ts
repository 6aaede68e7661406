/** The magic numbers of files that may contain a stream, and how to get it out. */
const wrappers: readonly { readonly magic: string; readonly what: string }[] = [
  { magic: '\x1f\x8b', what: 'It is compressed with gzip: unpack it first, with gunzip' },
  { magic: '\xfd7zXZ\0', what: 'It is compressed with xz: unpack it first, with unxz' },
  { magic: '\x28\xb5\x2f\xfd', what: 'It is compressed with zstd: unpack it first, with unzstd' },
  { magic: 'BZh', what: 'It is compressed with bzip2: unpack it first, with bunzip2' },
  { magic: '\x04\x22\x4d\x18', what: 'It is compressed with lz4: unpack it first, with unlz4' },
  { magic: '\x89LZO', what: 'It is compressed with lzop: unpack it first, with lzop -d' },
  {
    magic: 'LibvirtQemudPart',
    what: 'It is a save image that libvirt has not finished: libvirt is still writing it, or the save failed',
  },
  {
    magic: 'QFI\xfb',
    what: 'It is a qcow2 image: the state in its snapshots can be read from the path of the file, not from a pipe or a device, nor while it is packed',
  },
  { magic: '\x11\x22\x33\x44', what: pagesAlone('multifd') },
  {
    magic: 'QCPR',
    what: "It is what QEMU sends in front of a stream for CPR (live update); the stream is in the migration's main channel",
  },
]

/** The hint for a connection that is not the one with the stream. */
function pagesAlone(capability: string): string {
  return `It is a channel of ${capability}, which has pages of the guest's RAM alone; the stream is in the connection that begins with "QEVM"`
}

/** The length of the longest magic number. */
export const WRAPPER_BYTES = Math.max(...wrappers.map(({ magic }) => magic.length))

/** The beginning of a channel of postcopy-preempt: a page's address and flags, and the name of its RAM block. */
// eslint-disable-next-line no-control-regex -- they are bytes, as Latin-1
const PAGE_RECORD = /^\0[^]{5}[^][\x02\x08][\x01-\xff][ -~]{7}/

/**
 * A sentence for the end of an error message that names the format of a file, or nothing if it is not known.
 *
 * @param start the first bytes of the file, as Latin-1
 */
export function wrapperHint(start: string): string {
  const found = wrappers.find(({ magic }) => start.startsWith(magic))
  if (found !== undefined) return `. ${found.what}`
  return PAGE_RECORD.test(start) ? `. ${pagesAlone('postcopy-preempt')}` : ''
}
