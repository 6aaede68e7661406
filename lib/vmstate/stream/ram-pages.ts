import type { ByteReader, Parser } from './bytes.ts'
import { malformed } from './errors.ts'

/** The page of QEMU's RAM records: 4 KiB on every pseries machine, whatever pages the guest and host use. */
export const PAGE_SIZE = 4096

/** The lower bits of a record's address (QEMU, migration/ram.c: RAM_SAVE_FLAG_). */
export const Flag = {
  /** Written by QEMU before 2009. */
  FULL: 0x001,
  ZERO: 0x002,
  MEM_SIZE: 0x004,
  PAGE: 0x008,
  EOS: 0x010,
  CONTINUE: 0x020,
  XBZRLE: 0x040,
  /** The record is for RDMA, which transfers the pages outside the stream. */
  HOOK: 0x080,
  COMPRESS: 0x100,
  MULTIFD_FLUSH: 0x200,
} as const

/** Every record begins with a u64 of address and flags. */
export const RECORD_BYTES = 8

/** The most that zlib needs for a page, compressBound(4096). QEMU refuses more. */
const COMPRESSED_PAGE_LIMIT = PAGE_SIZE + 14

const ENCODING_XBZRLE = 1

/**
 * How many bytes from `start` on are records of whole pages, full or zero, of the same block as the page
 * before. A large stream consists almost only of these, so this loop must be fast; it stops in front of
 * any other record, which the caller reads.
 */
export function plainPages(bytes: Uint8Array, start: number, blockBytes: number): number {
  let at = start
  for (;;) {
    const contents = at + RECORD_BYTES
    if (contents > bytes.length) break
    const flags = (((bytes[at + 6] ?? 0) & 0x0f) << 8) | (bytes[at + 7] ?? 0)
    const isFull = flags === (Flag.PAGE | Flag.CONTINUE)
    if (!isFull && flags !== (Flag.ZERO | Flag.CONTINUE)) break
    const end = contents + (isFull ? PAGE_SIZE : 1)
    if (end > bytes.length || u64(bytes, at) >= blockBytes + flags) break
    at = end
  }
  return at - start
}

/** A u64 as the nearest double. That is exact enough to compare it with a number below 2^53. */
function u64(bytes: Uint8Array, at: number): number {
  return u32(bytes, at) * 2 ** 32 + u32(bytes, at + 4)
}

function u32(bytes: Uint8Array, at: number): number {
  return (
    (((bytes[at] ?? 0) << 24) |
      ((bytes[at + 1] ?? 0) << 16) |
      ((bytes[at + 2] ?? 0) << 8) |
      (bytes[at + 3] ?? 0)) >>>
    0
  )
}

export function* skipXbzrle(reader: ByteReader): Parser<void> {
  yield* reader.need(3, 'an XBZRLE page')
  const at = reader.offset
  const encoding = reader.u8()
  const length = reader.u16()
  if (encoding !== ENCODING_XBZRLE) {
    throw malformed(`An XBZRLE page has the encoding ${encoding}, which must be 1`, at)
  }
  if (length > PAGE_SIZE) {
    throw malformed(`An XBZRLE page of ${length} bytes, more than a page has`, at)
  }
  yield* reader.skip(length, 'an XBZRLE page')
}

export function* skipCompressed(reader: ByteReader): Parser<void> {
  yield* reader.need(4, 'a compressed page')
  const at = reader.offset
  const length = reader.u32()
  if (length === 0 || length > COMPRESSED_PAGE_LIMIT) {
    throw malformed(
      `A compressed page of ${length} bytes; it has from 1 to ${COMPRESSED_PAGE_LIMIT}`,
      at,
    )
  }
  yield* reader.skip(length, 'a compressed page')
}
