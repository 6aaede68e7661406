import type { ByteReader, Parser } from './bytes.ts'
import { malformed, overLimit, unsupported } from './errors.ts'
import { RAM_BLOCK_LIMIT } from './limits.ts'
import { MappedImages } from './mapped-ram.ts'
import { PAGE_SIZE } from './ram-pages.ts'

/**
 * A block of the guest's memory, from the list in the stream.
 *
 * @group Streams
 */
export interface QemuRamBlock {
  /** Such as `ppc_spapr.ram`, `/objects/m0`, `pci@800000020000000:00.0/vga.vram`. */
  readonly name: string
  /** The length in bytes, u64. */
  readonly length: bigint
  /**
   * The size of a page on the source in bytes, u64. Only blocks of huge pages have it, and only in streams
   * in which the command POSTCOPY_ADVISE prepares for postcopy.
   */
  readonly pageSize?: bigint
  /** The block's address in the guest, u64; only in streams with `x-ignore-shared`. */
  readonly guestAddress?: bigint
}

/** A block whose length is below 2^53. */
export interface Block extends QemuRamBlock {
  /** The length as a number. */
  readonly bytes: number
}

/** The format of the list of blocks, which depends on the capabilities and commands of a stream. */
export interface BlockFormat {
  readonly ignoresShared: boolean
  readonly isMapped: boolean
  /** Whether the list has the page size of blocks of huge pages. */
  readonly hasPageSizes: boolean
}

/**
 * Reads the list of blocks.
 *
 * @param total the sum of their lengths, at which the list ends
 * @param start the offset of the list's record, for errors
 */
export function* readBlocks(
  reader: ByteReader,
  total: bigint,
  start: number,
  { ignoresShared, isMapped, hasPageSizes }: BlockFormat,
): Parser<Map<string, Block>> {
  const blocks = new Map<string, Block>()
  const images = new MappedImages()
  let left = total
  do {
    const at = reader.offset
    const name = yield* reader.name(
      `the name of a RAM block (${left} bytes are left of the sum of all)`,
    )
    yield* reader.need(8, `the RAM block ${name}`)
    const length = reader.u64()
    checkLength(name, length, left, at)
    if (blocks.has(name)) throw malformed(`The RAM block ${name} is listed twice`, at)
    if (blocks.size === RAM_BLOCK_LIMIT) {
      throw overLimit(`More than ${RAM_BLOCK_LIMIT} RAM blocks`, start)
    }
    left -= length
    const pageSize = hasPageSizes
      ? yield* pageSizeIfAny(reader, { name, isLast: left === 0n, hasAddress: ignoresShared })
      : undefined
    if (ignoresShared) yield* reader.need(8, `the address of the RAM block ${name}`)
    blocks.set(name, {
      name,
      length,
      bytes: Number(length),
      ...(pageSize === undefined ? {} : { pageSize }),
      ...(ignoresShared ? { guestAddress: reader.u64() } : {}),
    })
    if (isMapped) yield* images.skip(reader, name, Number(length))
  } while (left > 0n)
  return blocks
}

function checkLength(name: string, length: bigint, left: bigint, at: number): void {
  if (length === 0n || length % BigInt(PAGE_SIZE) !== 0n) {
    throw malformed(
      `The RAM block ${name} has ${length} bytes; it must be a multiple of ${PAGE_SIZE}`,
      at,
    )
  }
  if (length > left) {
    throw malformed(
      `The RAM block ${name} has ${length} bytes, and ${left} are left of the sum of all`,
      at,
    )
  }
  if (length > BigInt(Number.MAX_SAFE_INTEGER)) {
    throw unsupported(`The RAM block ${name} has ${length} bytes, which is beyond 2^53`, at)
  }
}

/**
 * Reads the page size of a block, after its name and length, if the list has it. QEMU writes it for blocks
 * of huge pages, but the stream does not say which blocks those are. It can be told from what follows
 * otherwise: a page size is a power of two from 4096 on, the name of a next block does not begin with a NUL,
 * and the record after the last block has flags in its lower bits.
 */
function* pageSizeIfAny(
  reader: ByteReader,
  { name, isLast, hasAddress }: { name: string; isLast: boolean; hasAddress: boolean },
): Parser<bigint | undefined> {
  const address = hasAddress ? 8 : 0
  yield* reader.need(address + 8, `what follows the RAM block ${name}`)
  const next = reader.position + address
  const isNext = isLast
    ? (reader.window.readUInt16BE(next + 6) & (PAGE_SIZE - 1)) !== 0
    : reader.window[next] !== 0
  if (isNext) return undefined
  const at = reader.offset
  const size = reader.u64()
  if (size < BigInt(PAGE_SIZE) || (size & (size - 1n)) !== 0n) {
    throw malformed(
      `The RAM block ${name} has pages of ${size} bytes; that must be a power of two from ${PAGE_SIZE} on`,
      at,
    )
  }
  return size
}
