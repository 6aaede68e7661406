import { OneRegBatch } from '../kernel/batch.ts'

/** A batch that is used again by the next call: it grows to what is asked of it. */
export class Scratch {
  #batch = new OneRegBatch(0)

  /** Room for so many registers, good until it is asked for again. What is in it is anyone's. */
  batch(count: number): OneRegBatch {
    if (count > this.#batch.count) {
      this.#batch = new OneRegBatch(Math.max(16, 2 ** Math.ceil(Math.log2(count))))
    }
    this.#batch.used = count
    return this.#batch
  }
}
