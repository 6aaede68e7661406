import { createHash } from 'node:crypto'

/** Random choices that come out the same for the same seed. */
export class Random {
  readonly #seed: number
  #drawn = 0

  constructor(seed: number) {
    this.#seed = seed
  }

  /** From 0 to `end` - 1. */
  below(end: number): number {
    const hash = createHash('sha256').update(`${this.#seed} ${this.#drawn++}`).digest()
    return hash.readUIntBE(0, 6) % end
  }

  of<T>(choices: readonly T[]): T {
    return choices[this.below(choices.length)] as T
  }

  /** True once in so often. */
  once(inSoOften: number): boolean {
    return this.below(inSoOften) === 0
  }
}
