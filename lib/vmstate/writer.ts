import type { IntegerKind } from './scalars.ts'

/** Writes big-endian values one after another. The caller has checked them. */
export class VmstateWriter {
  #bytes = new Uint8Array(256)
  #view = new DataView(this.#bytes.buffer)
  #length = 0

  integer(value: number | bigint, { bits }: Pick<IntegerKind, 'bits'>): void {
    const at = this.#grow(bits / 8)
    // The low bits of a signed value are those of the unsigned one, so one setter serves both.
    if (typeof value === 'bigint') this.#view.setBigUint64(at, value)
    else if (bits === 8) this.#view.setUint8(at, value)
    else if (bits === 16) this.#view.setUint16(at, value)
    else this.#view.setUint32(at, value)
  }

  bytes(value: Uint8Array): void {
    const at = this.#grow(value.byteLength)
    this.#bytes.set(value, at)
  }

  zeros(length: number): void {
    this.#grow(length)
  }

  /** A copy of the bytes that were written. */
  finish(): Uint8Array {
    return this.#bytes.slice(0, this.#length)
  }

  #grow(length: number): number {
    const start = this.#length
    this.#length += length
    if (this.#length > this.#bytes.byteLength) {
      const bytes = new Uint8Array(Math.max(this.#length, 2 * this.#bytes.byteLength))
      bytes.set(this.#bytes)
      this.#bytes = bytes
      this.#view = new DataView(bytes.buffer)
    }
    return start
  }
}
