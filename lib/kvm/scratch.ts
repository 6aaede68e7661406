import { OneRegBatch } from '../kernel/batch.ts'

/**
 * A batch that one call after the other uses, so that a call makes no garbage. While it is taken another call
 * gets a new one: a kernel of the caller's own, or the function of an ObservedKernel, may read registers
 * during a call. A call that throws does not give its batch back.
 */
export class Scratch {
  #free: OneRegBatch | undefined

  /** Room for `count` registers; what an earlier call left there is not cleared. */
  take(count: number): OneRegBatch {
    const free = this.#free
    this.#free = undefined
    const batch = free !== undefined && free.count >= count ? free : new OneRegBatch(roomFor(count))
    batch.used = count
    return batch
  }

  /** To be called when the values and results of a batch have been read. */
  giveBack(batch: OneRegBatch): void {
    this.#free = batch
  }
}

/** Some more than `count`, so that a somewhat longer call later finds room too. */
function roomFor(count: number): number {
  return Math.max(16, 2 ** Math.ceil(Math.log2(count)))
}
