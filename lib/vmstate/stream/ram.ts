import type { ByteReader, Parser } from './bytes.ts'
import { hex, malformed, overLimit, unsupported } from './errors.ts'
import { RAM_BLOCK_LIMIT } from './limits.ts'

/** A target page, whatever the guest and the host use: 4 KiB on every pseries machine. */
export const PAGE_SIZE = 4096

/** What zlib needs at most for a page, compressBound(4096): QEMU refuses more. */
const COMPRESSED_PAGE_LIMIT = PAGE_SIZE + 14

/** The lower bits of a record's address (QEMU, migration/ram.c: RAM_SAVE_FLAG_). */
const Flag = {
  ZERO: 0x002,
  MEM_SIZE: 0x004,
  PAGE: 0x008,
  EOS: 0x010,
  CONTINUE: 0x020,
  XBZRLE: 0x040,
  COMPRESS: 0x100,
  MULTIFD_FLUSH: 0x200,
} as const

const RECORD_BYTES = 8
const ENCODING_XBZRLE = 1

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

interface Block extends QemuRamBlock {
  /** The length again: it is below 2^53. */
  readonly bytes: number
}

/** The section `ram`, version 4: its records are checked and their pages passed over. */
export class RamReader {
  #blocks = new Map<string, Block>()
  /** The block of the page record before, in whatever section that was. */
  #last: Block | undefined
  readonly #ignoresShared: boolean
  readonly #isMapped: boolean

  constructor(capabilities: readonly string[]) {
    this.#ignoresShared = capabilities.includes('x-ignore-shared')
    this.#isMapped = capabilities.includes('mapped-ram')
  }

  get blocks(): QemuRamBlock[] {
    return [...this.#blocks.values()].map(({ name, length, guestAddress }) =>
      guestAddress === undefined ? { name, length } : { name, length, guestAddress },
    )
  }

  /** The start section: the list of blocks comes first. */
  *start(reader: ByteReader): Parser<void> {
    yield* reader.need(RECORD_BYTES, 'the list of RAM blocks')
    const at = reader.offset
    const record = reader.u64()
    if ((record & 0xfffn) !== BigInt(Flag.MEM_SIZE)) {
      throw malformed('The first RAM record must be the list of blocks', at)
    }
    yield* this.#readBlocks(reader, record - BigInt(Flag.MEM_SIZE), at)
    yield* this.records(reader)
  }

  /** The records of one section, up to the one that ends it. */
  *records(reader: ByteReader): Parser<void> {
    for (;;) {
      if (this.#last !== undefined && !this.#isMapped) {
        reader.pass(plainPages(reader.window, reader.position, this.#last.bytes))
      }
      yield* reader.need(RECORD_BYTES, 'a RAM record')
      const at = reader.offset
      const high = reader.u32()
      const low = reader.u32()
      const flags = low & (PAGE_SIZE - 1)
      const address = high * 2 ** 32 + (low - flags)
      switch (flags & ~Flag.CONTINUE) {
        case Flag.PAGE:
          if (!(flags & Flag.CONTINUE)) this.#last = yield* this.#namedBlock(reader, at)
          this.#checkPage(address, at)
          yield* reader.skip(PAGE_SIZE, 'a page')
          break
        case Flag.ZERO:
          if (!(flags & Flag.CONTINUE)) this.#last = yield* this.#namedBlock(reader, at)
          this.#checkPage(address, at)
          yield* reader.skip(1, 'a zero page')
          break
        case Flag.XBZRLE:
          if (!(flags & Flag.CONTINUE)) this.#last = yield* this.#namedBlock(reader, at)
          this.#checkPage(address, at)
          yield* skipXbzrle(reader)
          break
        case Flag.COMPRESS:
          if (!(flags & Flag.CONTINUE)) this.#last = yield* this.#namedBlock(reader, at)
          this.#checkPage(address, at)
          yield* skipCompressed(reader)
          break
        default:
          checkPlain(flags, address, at)
          if (flags === Flag.EOS) return
      }
    }
  }

  *#namedBlock(reader: ByteReader, at: number): Parser<Block> {
    const name = yield* reader.name('the name of a RAM block')
    const block = this.#blocks.get(name)
    if (block === undefined) {
      throw malformed(`A page of the RAM block ${name}, which is not in the list`, at)
    }
    return block
  }

  #checkPage(address: number, at: number): void {
    const block = this.#last
    if (block !== undefined && address < block.bytes && !this.#isMapped) return
    if (this.#isMapped) throw malformed('A page record in a stream with mapped-ram', at)
    if (block === undefined) {
      throw malformed('The first page record says that its block is that of the one before', at)
    }
    const page = hex(address)
    throw malformed(
      `A page at ${page} of the RAM block ${block.name}, which has ${block.bytes} bytes`,
      at,
    )
  }

  *#readBlocks(reader: ByteReader, total: bigint, start: number): Parser<void> {
    let left = total
    do {
      const at = reader.offset
      const name = yield* reader.name(
        `the name of a RAM block (${left} bytes are left of the sum of all)`,
      )
      yield* reader.need(8, `the RAM block ${name}`)
      const length = reader.u64()
      checkBlockLength(name, length, left, at)
      if (this.#blocks.has(name)) throw malformed(`The RAM block ${name} is listed twice`, at)
      if (this.#blocks.size === RAM_BLOCK_LIMIT) {
        throw overLimit(`More than ${RAM_BLOCK_LIMIT} RAM blocks`, start)
      }
      const block = { name, length, bytes: Number(length) }
      if (this.#ignoresShared) {
        yield* reader.need(8, `the address of the RAM block ${name}`)
        this.#blocks.set(name, { ...block, guestAddress: reader.u64() })
      } else {
        this.#blocks.set(name, block)
      }
      if (this.#isMapped) yield* skipImage(reader, block)
      left -= length
    } while (left > 0n)
  }
}

/**
 * How many bytes from `start` on are whole pages, full or zero, of the block of the page before: next
 * to everything in a large stream, so it is all that has to be fast. What is special in any way, it
 * leaves to those who look closer.
 */
function plainPages(bytes: Uint8Array, start: number, blockBytes: number): number {
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

/** To the nearest double, as which it is compared with what is below 2^53. */
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

function checkBlockLength(name: string, length: bigint, left: bigint, at: number): void {
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

function* skipXbzrle(reader: ByteReader): Parser<void> {
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

function* skipCompressed(reader: ByteReader): Parser<void> {
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

/** A record without a page. */
function checkPlain(flags: number, address: number, at: number): void {
  if (flags === Flag.MEM_SIZE) {
    throw malformed('A second list of RAM blocks; it belongs at the start', at)
  }
  if (flags !== Flag.EOS && flags !== Flag.MULTIFD_FLUSH) {
    throw unsupported(`A RAM record with the flags ${hex(flags)}, which are not known`, at)
  }
  if (address !== 0) {
    throw malformed(`A RAM record with the flags ${hex(flags)} has the address ${hex(address)}`, at)
  }
}
