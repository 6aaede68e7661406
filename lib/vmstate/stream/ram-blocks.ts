import type { ByteReader, Parser } from './bytes.ts'
import { malformed, overLimit, unsupported } from './errors.ts'
import { RAM_BLOCK_LIMIT } from './limits.ts'
import { PAGE_SIZE } from './ram-pages.ts'

const MAPPED_HEADER_BYTES = 28
const MAPPED_VERSION = 1
/** The image of a block begins at a multiple of this, so that it can be mapped. */
const MAPPED_ALIGNMENT = 1024 * 1024

/** A block of the guest's memory, as the stream lists it. */
export interface QemuRamBlock {
  /** `ppc_spapr.ram`, `/objects/m0`, `pci@800000020000000:00.0/vga.vram`. */
  readonly name: string
  /** In bytes, u64. */
  readonly length: bigint
  /** Where the guest sees it, u64: only in streams with `x-ignore-shared`. */
  readonly guestAddress?: bigint
}

/** A block whose length is below 2^53. */
export interface Block extends QemuRamBlock {
  /** The length again. */
  readonly bytes: number
}

/** What the capabilities of a stream say about its list of blocks. */
export interface BlockFormat {
  readonly ignoresShared: boolean
  readonly isMapped: boolean
}

/** The blocks, until their lengths add up to `total`; the list's record begins at `start`. */
export function* readBlocks(
  reader: ByteReader,
  total: bigint,
  start: number,
  { ignoresShared, isMapped }: BlockFormat,
): Parser<Map<string, Block>> {
  const blocks = new Map<string, Block>()
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
    const block = { name, length, bytes: Number(length) }
    if (ignoresShared) {
      yield* reader.need(8, `the address of the RAM block ${name}`)
      blocks.set(name, { ...block, guestAddress: reader.u64() })
    } else {
      blocks.set(name, block)
    }
    if (isMapped) yield* skipImage(reader, block)
    left -= length
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

/** A block's header and image in a file with mapped-ram (QEMU, migration/ram.c: MappedRamHeader). */
function* skipImage(reader: ByteReader, { name, bytes }: Block): Parser<void> {
  const what = `the image of the RAM block ${name}`
  yield* reader.need(MAPPED_HEADER_BYTES, what)
  const at = reader.offset
  const version = reader.u32()
  const pageSize = reader.u64()
  const bitmap = reader.u64()
  const pages = reader.u64()
  if (version !== MAPPED_VERSION || pageSize !== BigInt(PAGE_SIZE)) {
    throw unsupported(
      `The image of the RAM block ${name} has version ${version} and pages of ${pageSize} bytes; this release reads version ${MAPPED_VERSION} and pages of ${PAGE_SIZE}`,
      at,
    )
  }
  const bitmapEnd = reader.offset + 8 * Math.ceil(bytes / PAGE_SIZE / 64)
  const expected = MAPPED_ALIGNMENT * Math.ceil(bitmapEnd / MAPPED_ALIGNMENT)
  if (bitmap !== BigInt(reader.offset) || pages !== BigInt(expected)) {
    throw malformed(
      `The image of the RAM block ${name} has its bitmap at byte ${bitmap} and its pages at ${pages}; they must be at ${reader.offset} and ${expected}`,
      at,
    )
  }
  const end = expected + bytes
  if (!Number.isSafeInteger(end))
    throw unsupported(`The image of the RAM block ${name} ends beyond byte 2^53`, at)
  yield* reader.skip(end - reader.offset, what)
}
