import type { ByteReader, Parser } from './bytes.ts'
import { hex, malformed } from './errors.ts'

const NO_TABLE = 0xffff_ffff
const CHUNKS_FOLLOW = 0

const ENTRY_BYTES = 16
const SHIFT_MIN = 18
const SHIFT_MAX = 46

/** Reads the section `spapr/htab`, version 1: the guest's hash page table (QEMU, hw/ppc/spapr.c: htab_save_). */
export class HtabReader {
  /** The table has 2^shift bytes. Undefined for a radix guest, which has none. */
  #shift: number | undefined

  get shift(): number | undefined {
    return this.#shift
  }

  /** A copy, with which bytes can be tried without changing this one. */
  fork(): HtabReader {
    const fork = new HtabReader()
    fork.#shift = this.#shift
    return fork
  }

  *start(reader: ByteReader): Parser<void> {
    yield* reader.need(4, 'the size of the hash page table')
    const at = reader.offset
    const shift = reader.u32()
    if (shift === NO_TABLE) return
    if (shift < SHIFT_MIN || shift > SHIFT_MAX) {
      throw malformed(
        `The hash page table has 2^${shift} bytes; it has from 2^${SHIFT_MIN} to 2^${SHIFT_MAX}`,
        at,
      )
    }
    this.#shift = shift
  }

  /** Checks and skips the entries in one part or end section. */
  *chunks(reader: ByteReader): Parser<void> {
    yield* reader.need(4, 'a section of the hash page table')
    const at = reader.offset
    const header = reader.u32()
    // The guest has changed over to radix during the migration, and has no table any more.
    if (header === NO_TABLE) return
    if (header !== CHUNKS_FOLLOW) {
      throw malformed(`A section of the hash page table begins with ${hex(header)}`, at)
    }
    if (this.#shift === undefined) {
      throw malformed('Entries of a hash page table, and the guest has none', at)
    }
    const entries = 2 ** this.#shift / ENTRY_BYTES
    for (;;) {
      if (reader.isTurnOver()) yield 'pause'
      yield* reader.need(8, 'the hash page table')
      const start = reader.offset
      const index = reader.u32()
      const valid = reader.u16()
      const invalid = reader.u16()
      if (index === 0 && valid === 0 && invalid === 0) return
      if (index + valid + invalid > entries) {
        throw malformed(
          `Entries ${index} to ${index + valid + invalid - 1} of a hash page table of ${entries}`,
          start,
        )
      }
      yield* reader.skip(valid * ENTRY_BYTES, 'the hash page table')
    }
  }
}
