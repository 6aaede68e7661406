import type { ByteReader, Parser } from './bytes.ts'
import { hex, malformed, unsupported } from './errors.ts'
import { readBlocks } from './ram-blocks.ts'
import type { Block, BlockFormat, QemuRamBlock } from './ram-blocks.ts'
import {
  Flag,
  PAGE_SIZE,
  plainPages,
  RECORD_BYTES,
  skipCompressed,
  skipXbzrle,
} from './ram-pages.ts'

/** Reads the section `ram`, version 4: checks its records, and skips their pages. */
export class RamReader {
  #blocks = new Map<string, Block>()
  /** The block of the last page record, which may have been in an earlier section. */
  #last: Block | undefined
  #format: BlockFormat

  constructor(capabilities: readonly string[]) {
    this.#format = {
      ignoresShared: capabilities.includes('x-ignore-shared'),
      isMapped: capabilities.includes('mapped-ram'),
      hasPageSizes: false,
    }
  }

  get blocks(): QemuRamBlock[] {
    return [...this.#blocks.values()].map(({ name, length, pageSize, guestAddress }) => ({
      name,
      length,
      ...(pageSize === undefined ? {} : { pageSize }),
      ...(guestAddress === undefined ? {} : { guestAddress }),
    }))
  }

  /** Call when the source prepares for postcopy of RAM: it then lists the page size of blocks of huge pages. */
  expectPageSizes(): void {
    this.#format = { ...this.#format, hasPageSizes: true }
  }

  /** A copy, with which bytes can be tried without changing this one. */
  fork(): RamReader {
    const fork = new RamReader([])
    fork.#blocks = this.#blocks
    fork.#last = this.#last
    fork.#format = this.#format
    return fork
  }

  /** Reads the start section, which begins with the list of blocks. */
  *start(reader: ByteReader): Parser<void> {
    yield* reader.need(RECORD_BYTES, 'the list of RAM blocks')
    const at = reader.offset
    const record = reader.u64()
    if ((record & 0xfffn) !== BigInt(Flag.MEM_SIZE)) {
      throw malformed('The first RAM record must be the list of blocks', at)
    }
    const total = record - BigInt(Flag.MEM_SIZE)
    this.#blocks = yield* readBlocks(reader, total, at, this.#format)
    yield* this.records(reader)
  }

  /** Reads the records of a section, up to the one that ends it. */
  *records(reader: ByteReader): Parser<void> {
    for (;;) {
      if (reader.isTurnOver()) yield 'pause'
      if (this.#last !== undefined) {
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
          yield* this.#page(reader, flags, address, at)
          yield* reader.skip(PAGE_SIZE, 'a page')
          break
        case Flag.ZERO:
          yield* this.#page(reader, flags, address, at)
          yield* reader.skip(1, 'a zero page')
          break
        case Flag.XBZRLE:
          yield* this.#page(reader, flags, address, at)
          yield* skipXbzrle(reader)
          break
        case Flag.COMPRESS:
          yield* this.#page(reader, flags, address, at)
          yield* skipCompressed(reader)
          break
        default:
          checkPlain(flags, address, at)
          if (flags === Flag.EOS) return
      }
    }
  }

  /** Finds the block of a page record, and checks the address in it. */
  *#page(reader: ByteReader, flags: number, address: number, at: number): Parser<void> {
    if (this.#format.isMapped) throw malformed('A page record in a stream with mapped-ram', at)
    if (!(flags & Flag.CONTINUE)) {
      const name = yield* reader.name('the name of a RAM block')
      this.#last = this.#blocks.get(name)
      if (this.#last === undefined) {
        throw malformed(`A page of the RAM block ${name}, which is not in the list`, at)
      }
    }
    const block = this.#last
    if (block === undefined) {
      throw malformed('The first page record must name its block, and refers to the one before', at)
    }
    if (address >= block.bytes) {
      const page = hex(address)
      throw malformed(
        `A page at ${page} of the RAM block ${block.name}, which has ${block.bytes} bytes`,
        at,
      )
    }
  }
}

/** Checks a record without a page. */
function checkPlain(flags: number, address: number, at: number): void {
  if (flags === Flag.MEM_SIZE) {
    throw malformed('A second list of RAM blocks; it belongs at the start', at)
  }
  if (flags === Flag.HOOK) {
    throw unsupported(
      'The stream is one of a migration by RDMA, which sends the pages of RAM beside it; this release does not read those',
      at,
    )
  }
  if (flags === Flag.FULL) {
    throw unsupported(
      'A RAM record has the flag 0x01, which QEMU has not written since 2009; this release does not read it',
      at,
    )
  }
  if (flags !== Flag.EOS && flags !== Flag.MULTIFD_FLUSH) {
    throw unsupported(`A RAM record with the flags ${hex(flags)}, which are not known`, at)
  }
  if (address !== 0) {
    throw malformed(`A RAM record with the flags ${hex(flags)} has the address ${hex(address)}`, at)
  }
}
