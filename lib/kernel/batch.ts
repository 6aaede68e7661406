import { checkInteger, wrongClass } from '../checks.ts'

/** The size of a value: POWER's widest registers have 128 bits. */
export const VALUE_BYTES = 16
const ENTRY_BYTES = VALUE_BYTES + 8 + 4 + 4
const TRAILER_BYTES = 8

/** The most entries that a batch can have. */
export const BATCH_LIMIT = 1 << 20

/**
 * The id of an entry that is left out: the kernel is not called for it, and its result is -EINVAL.
 *
 * @group Kernels and batches
 */
export const NO_REGISTER = 0xffff_ffff_ffff_ffffn

/**
 * The memory of many register calls that are made in one crossing into C++. Entry i is register `ids[i]` of
 * the vCPU with the file descriptor `fds[i]`. Its value is in `values` from byte 16·i on, in the host's byte
 * order. The call's result, 0 or `-errno`, is put into `results[i]`.
 *
 * Use a batch again where you can: only the first call with it has to look up its memory.
 *
 * @group Kernels and batches
 */
export class OneRegBatch {
  /** The number of entries. */
  declare readonly count: number
  /** The memory of everything: the values, the ids, the file descriptors, the results, and `used`. */
  declare readonly memory: Uint8Array
  declare readonly values: Uint8Array
  declare readonly ids: BigUint64Array
  declare readonly fds: Int32Array
  declare readonly results: Int32Array
  /** @internal The index by which {@link NativeKernel} finds the memory. Keeping this object keeps the index valid. */
  bound: { readonly index: number } | undefined
  /** @internal The values as 32-bit words: the value of entry i is at 4·i. */
  declare readonly words32: Uint32Array
  /** @internal The values as 64-bit words: the value of entry i is at 2·i. */
  declare readonly words64: BigUint64Array
  declare private readonly trailer: Uint32Array

  /** @param count the number of entries, up to 2^20 */
  constructor(count: number) {
    this.count = checkInteger('count', count, BATCH_LIMIT)
    // Shared memory, since other buffers can be moved or detached while C++ has a pointer to them.
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

  /** The number of entries, from the first on, for which calls are made. The default is all. */
  get used(): number {
    return this.trailer[0] ?? 0
  }

  /** @throws TypeError, RangeError for more entries than the batch has */
  set used(count: number) {
    this.trailer[0] = checkInteger('used', count, this.count)
  }

  // The accessors do not check the index. Past the end, reading gives 0 and writing does nothing.

  /**
   * Returns an entry's value of 32 bits.
   *
   * @param index the entry, from 0
   */
  get32(index: number): number {
    return this.words32[index * 4] ?? 0
  }

  /**
   * Sets an entry's value of 32 bits.
   *
   * @param index the entry, from 0
   * @param value an unsigned number of 32 bits
   */
  set32(index: number, value: number): void {
    this.words32[index * 4] = value
  }

  /**
   * Returns an entry's value of 64 bits, unsigned.
   *
   * @param index the entry, from 0
   */
  get64(index: number): bigint {
    return this.words64[index * 2] ?? 0n
  }

  /**
   * Sets an entry's value of 64 bits.
   *
   * @param index the entry, from 0
   * @param value an unsigned bigint of 64 bits
   */
  set64(index: number, value: bigint): void {
    this.words64[index * 2] = value
  }

  /**
   * Returns the first `size` bytes of an entry's value. They are not a copy.
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
  if (!(batch instanceof OneRegBatch)) throw wrongClass('batch', OneRegBatch, batch)
  return batch
}
