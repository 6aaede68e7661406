import { checkInteger } from './checks.ts'

/** Room for one register: the widest that POWER has is 128 bits. */
const SLOT_BYTES = 16

/**
 * Many registers for one crossing into the kernel: entry i is register `ids[i]` of the vCPU
 * `fds[i]`, its value lies in `values` from byte 16·i in the host's byte order, and the call's
 * result, 0 or `-errno`, is put in `results[i]`.
 */
export class OneRegBatch {
  readonly count: number
  readonly fds: Int32Array
  readonly ids: BigUint64Array
  readonly values: Uint8Array
  readonly results: Int32Array
  readonly #words32: Uint32Array
  readonly #words64: BigUint64Array

  constructor(count: number) {
    this.count = checkInteger('count', count, 0xff_ffff)
    this.fds = new Int32Array(count)
    this.ids = new BigUint64Array(count)
    this.values = new Uint8Array(count * SLOT_BYTES)
    this.results = new Int32Array(count)
    this.#words32 = new Uint32Array(this.values.buffer)
    this.#words64 = new BigUint64Array(this.values.buffer)
  }

  // The accessors do not check the index: reading past the end gives 0, writing there is lost.

  get32(index: number): number {
    return this.#words32[index * 4] ?? 0
  }

  set32(index: number, value: number): void {
    this.#words32[index * 4] = value
  }

  get64(index: number): bigint {
    return this.#words64[index * 2] ?? 0n
  }

  set64(index: number, value: bigint): void {
    this.#words64[index * 2] = value
  }

  /** The first `size` bytes of an entry's value, not a copy. */
  bytes(index: number, size: number): Uint8Array {
    return this.values.subarray(index * SLOT_BYTES, index * SLOT_BYTES + size)
  }
}
