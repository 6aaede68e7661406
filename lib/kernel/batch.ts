import { checkInteger, wrongType } from '../checks.ts'

/** Room for one register: the widest that POWER has is 128 bits. */
const VALUE_BYTES = 16
const ENTRY_BYTES = VALUE_BYTES + 8 + 4 + 4
const TRAILER_BYTES = 8

/** Entries that a batch can have. */
export const BATCH_LIMIT = 1 << 20

/**
 * An id for an entry that is to be left out: no kernel is asked for it, and its result is -EINVAL.
 *
 * @group Kernels and batches
 */
export const NO_REGISTER = 0xffff_ffff_ffff_ffffn

/**
 * Many registers for one crossing into the kernel: entry i is register `ids[i]` of the vCPU
 * `fds[i]`, its value lies in `values` from byte 16·i in the host's byte order, and the call's
 * result, 0 or `-errno`, is put in `results[i]`.
 *
 * A batch can be used again and again: a kernel makes its way to the memory once.
 *
 * @group Kernels and batches
 */
export class OneRegBatch {
  /** How many entries there is room for. */
  declare readonly count: number
  /** All of it: the values, the ids, the file descriptors, the results, and `used`. */
  declare readonly memory: Uint8Array
  declare readonly values: Uint8Array
  declare readonly ids: BigUint64Array
  declare readonly fds: Int32Array
  declare readonly results: Int32Array
  /** @internal By what {@link NativeKernel} finds the memory, for as long as this object is there. */
  bound: { readonly index: number } | undefined
  /** @internal The values as words: that of entry i is at 4·i, */
  declare readonly words32: Uint32Array
  /** @internal and at 2·i. */
  declare readonly words64: BigUint64Array
  declare private readonly trailer: Uint32Array

  /** @param count of entries: up to 2^20 */
  constructor(count: number) {
    this.count = checkInteger('count', count, BATCH_LIMIT)
    // Shared, since only such memory stays where it is whatever is done with it.
    const buffer = new SharedArrayBuffer(count * ENTRY_BYTES + TRAILER_BYTES)
    this.memory = new Uint8Array(buffer)
    this.values = new Uint8Array(buffer, 0, count * VALUE_BYTES)
    this.ids = new BigUint64Array(buffer, count * VALUE_BYTES, count)
    this.fds = new Int32Array(buffer, count * (VALUE_BYTES + 8), count)
    this.results = new Int32Array(buffer, count * (VALUE_BYTES + 12), count)
    this.trailer = new Uint32Array(buffer, count * ENTRY_BYTES, 1)
    this.words32 = new Uint32Array(buffer, 0, count * 4)
    this.words64 = new BigUint64Array(buffer, 0, count * 2)
    this.used = count
  }

  /** How many entries, from the first on, a call is made for: all unless told. */
  get used(): number {
    return this.trailer[0] ?? 0
  }

  /** @throws TypeError, RangeError for more than there is room for */
  set used(count: number) {
    this.trailer[0] = checkInteger('used', count, this.count)
  }

  // The accessors do not check the index: reading past the end gives 0, writing there is lost.

  /**
   * An entry's value of 32 bits.
   *
   * @param index the entry, from 0
   */
  get32(index: number): number {
    return this.words32[index * 4] ?? 0
  }

  /**
   * Puts an entry's value of 32 bits there.
   *
   * @param index the entry, from 0
   * @param value an unsigned number of 32 bits
   */
  set32(index: number, value: number): void {
    this.words32[index * 4] = value
  }

  /**
   * An entry's value of 64 bits, unsigned.
   *
   * @param index the entry, from 0
   */
  get64(index: number): bigint {
    return this.words64[index * 2] ?? 0n
  }

  /**
   * Puts an entry's value of 64 bits there.
   *
   * @param index the entry, from 0
   * @param value an unsigned bigint of 64 bits
   */
  set64(index: number, value: bigint): void {
    this.words64[index * 2] = value
  }

  /**
   * The first `size` bytes of an entry's value, not a copy.
   *
   * @param index the entry, from 0
   * @param size how many bytes of it, 16 at most
   */
  bytes(index: number, size: number): Uint8Array {
    return this.values.subarray(index * VALUE_BYTES, index * VALUE_BYTES + size)
  }
}

/** @throws TypeError */
export function checkBatch(batch: unknown): OneRegBatch {
  if (!(batch instanceof OneRegBatch)) throw wrongType('batch', 'a OneRegBatch', batch)
  return batch
}
