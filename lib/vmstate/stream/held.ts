/** Collects bytes, in memory that doubles as they arrive, up to a limit. */
export class Held {
  #memory: Buffer = Buffer.alloc(0)
  #length = 0
  readonly #limit: number

  constructor(limit: number) {
    this.#limit = limit
  }

  get length(): number {
    return this.#length
  }

  /** @param bytes at most as many as the limit leaves room for */
  add(bytes: Buffer): void {
    const length = this.#length + bytes.length
    if (length > this.#memory.length) {
      const memory = Buffer.allocUnsafeSlow(
        Math.min(this.#limit, Math.max(length, 2 * this.#memory.length)),
      )
      this.bytes().copy(memory)
      this.#memory = memory
    }
    bytes.copy(this.#memory, this.#length)
    this.#length = length
  }

  bytes(): Buffer {
    return this.#memory.subarray(0, this.#length)
  }
}
