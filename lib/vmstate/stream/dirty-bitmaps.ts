import type { ByteReader, Parser } from './bytes.ts'
import { hex, malformed, unsupported } from './errors.ts'

/** The flags of a chunk (QEMU, migration/block-dirty-bitmap.c: DIRTY_BITMAP_MIG_FLAG_). */
const Flag = {
  EOS: 0x01,
  ZEROES: 0x02,
  BITMAP_NAME: 0x04,
  DEVICE_NAME: 0x08,
  START: 0x10,
  COMPLETE: 0x20,
  BITS: 0x40,
  MORE_FLAGS: 0x80,
} as const

/** Granularity, u32 (the comment in QEMU's source says 64 bits, its code writes 32), and flags, u8. */
const START_BYTES = 5
const RESERVED_START_FLAGS = 0xf8

/** First sector, u64, and number of sectors, u32. */
const RANGE_BYTES = 12

/** The most bytes of bits that QEMU accepts in one chunk. */
const BITS_LIMIT = 10 * 1024

/**
 * Checks and skips the section `dirty-bitmap`, version 1, which says which parts of the disks were written
 * since a backup. A stream has it if the capability `dirty-bitmaps` was set, even if no disk has a bitmap:
 * then its start section is a single byte.
 */
export function* readDirtyBitmaps(reader: ByteReader): Parser<void> {
  for (;;) {
    if (reader.isTurnOver()) yield 'pause'
    yield* reader.need(1, 'a dirty bitmap')
    const at = reader.offset
    const flags = reader.u8()
    if (flags & Flag.MORE_FLAGS) {
      throw unsupported(
        `A chunk of a dirty bitmap has the flags ${hex(flags)}; this release knows those up to 0x7f`,
        at,
      )
    }
    if (flags & Flag.DEVICE_NAME) yield* skipName(reader, 'the name of the disk of a dirty bitmap')
    if (flags & Flag.BITMAP_NAME) yield* skipName(reader, 'the name of a dirty bitmap')
    if (flags & Flag.START) yield* skipStart(reader)
    else if (!(flags & Flag.COMPLETE) && flags & Flag.BITS) yield* skipBits(reader, flags)
    if (flags & Flag.EOS) return
  }
}

function* skipName(reader: ByteReader, what: string): Parser<void> {
  yield* reader.need(1, what)
  const length = reader.u8()
  if (length === 0) throw malformed(`No text where ${what} must be`, reader.offset - 1)
  yield* reader.skip(length, what)
}

function* skipStart(reader: ByteReader): Parser<void> {
  yield* reader.need(START_BYTES, 'the beginning of a dirty bitmap')
  reader.pass(START_BYTES - 1)
  const flags = reader.u8()
  if (flags & RESERVED_START_FLAGS) {
    throw malformed(
      `A dirty bitmap begins with the flags ${hex(flags)}, of which some are reserved`,
      reader.offset - 1,
    )
  }
}

function* skipBits(reader: ByteReader, flags: number): Parser<void> {
  yield* reader.need(RANGE_BYTES, 'the range of a dirty bitmap')
  reader.pass(RANGE_BYTES)
  if (flags & Flag.ZEROES) return
  yield* reader.need(8, 'the length of a dirty bitmap')
  const at = reader.offset
  const length = reader.u64()
  if (length > BITS_LIMIT) {
    throw malformed(
      `A chunk of a dirty bitmap has ${length} bytes; QEMU takes ${BITS_LIMIT} at most`,
      at,
    )
  }
  yield* reader.skip(Number(length), 'a dirty bitmap')
}
