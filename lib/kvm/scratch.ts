import { OneRegBatch } from '../kernel/batch.ts'

/** A batch that one call after the other uses, so that a call makes no garbage. It grows as needed. */
export class Scratch {
  #batch = new OneRegBatch(0)

  /** Room for `count` registers. It is valid until the next call of this method, and is not cleared. */
  batch(count: number): OneRegBatch {
    if (count > this.#batch.count) {
      this.#batch = new OneRegBatch(Math.max(16, 2 ** Math.ceil(Math.log2(count))))
    }
    this.#batch.used = count
    return this.#batch
  }
}
