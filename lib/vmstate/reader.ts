import { VmstateError } from '../errors.ts'
import type { VmstateErrorCode } from '../errors.ts'
import type { IntegerKind } from './scalars.ts'
import { Path } from './path.ts'

/**
 * Reads big-endian values from bytes, one after another. A description's `loadStateOld` gets one. Every
 * method throws VmstateError ERR_VMSTATE_TRUNCATED if there are not enough bytes.
 *
 * @group Encoding and decoding
 */
export class VmstateReader {
  readonly #bytes: Uint8Array
  readonly #view: DataView
  #offset = 0

  /** @internal */
  readonly path = new Path()

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  /** How many bytes were read so far. */
  get offset(): number {
    return this.#offset
  }

  /** How many bytes are left. */
  get remaining(): number {
    return this.#view.byteLength - this.#offset
  }

  /** 8 bits, unsigned. */
  uint8(): number {
    return this.#view.getUint8(this.#take(1))
  }

  /** 16 bits, unsigned. */
  uint16(): number {
    return this.#view.getUint16(this.#take(2))
  }

  /** 32 bits, unsigned. */
  uint32(): number {
    return this.#view.getUint32(this.#take(4))
  }

  /** 64 bits, unsigned. */
  uint64(): bigint {
    return this.#view.getBigUint64(this.#take(8))
  }

  /** 8 bits, signed. */
  int8(): number {
    return this.#view.getInt8(this.#take(1))
  }

  /** 16 bits, signed. */
  int16(): number {
    return this.#view.getInt16(this.#take(2))
  }

  /** 32 bits, signed. */
  int32(): number {
    return this.#view.getInt32(this.#take(4))
  }

  /** 64 bits, signed. */
  int64(): bigint {
    return this.#view.getBigInt64(this.#take(8))
  }

  /** @internal */
  integer({ bits, signed }: IntegerKind): number | bigint {
    switch (bits) {
      case 8:
        return signed ? this.int8() : this.uint8()
      case 16:
        return signed ? this.int16() : this.uint16()
      case 32:
        return signed ? this.int32() : this.uint32()
      case 64:
        return signed ? this.int64() : this.uint64()
    }
  }

  /**
   * Copies the next bytes.
   *
   * @param length how many bytes
   */
  bytes(length: number): Uint8Array {
    const start = this.#take(length)
    // A plain Uint8Array: slice() of a Buffer would be a Buffer, and share its memory.
    return new Uint8Array(this.#bytes.subarray(start, start + length))
  }

  /**
   * Skips bytes.
   *
   * @param length how many bytes
   */
  skip(length: number): void {
    this.#take(length)
  }

  /**
   * Checks that so many bytes are left, before memory is allocated for them.
   *
   * @internal
   */
  expect(length: number): void {
    if (length <= this.remaining) return
    this.fail(
      'ERR_VMSTATE_TRUNCATED',
      `${this.path.toString()} needs ${length} bytes, and ${this.remaining} are left`,
    )
  }

  /** @internal */
  peek(ahead: number): number | undefined {
    return this.#bytes[this.#offset + ahead]
  }

  /** @internal */
  peekAscii(ahead: number, length: number): string {
    const start = this.#offset + ahead
    return Buffer.from(this.#bytes.subarray(start, start + length)).toString('latin1')
  }

  /** @internal */
  fail(code: VmstateErrorCode, problem: string, offset: number = this.#offset): never {
    throw new VmstateError(code, problem, offset)
  }

  #take(length: number): number {
    this.expect(length)
    const start = this.#offset
    this.#offset += length
    return start
  }
}
