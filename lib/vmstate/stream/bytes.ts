import { shown } from '../../checks.ts'
import { malformed, truncated } from './errors.ts'
import { Held } from './held.ts'
import { TURN } from './limits.ts'

/** The answer to a parser that asked for more bytes. */
export interface Input {
  /** The next bytes, valid until the parser asks again; undefined after the last. */
  readonly bytes: Uint8Array | undefined
  /** How many bytes in front of them were passed over: at most as many as the parser offered. */
  readonly passed: number
}

/** Gives the bytes of a source in order. */
export interface ByteSource {
  /** The next bytes, of which `mayPass` may be passed over. They are valid until the next call. */
  next(mayPass: number): Input | Promise<Input>
  /** Nothing more is asked of the source. */
  close(): Promise<void>
}

/**
 * A parser that suspends itself where it needs more bytes, so that the same code reads from memory, a
 * file or a pipe. It yields one of:
 *
 * - a number, to ask for the next bytes: so many of them may be passed over unread;
 * - `'pause'`, so that a long parse does not block the event loop; the answer is ignored;
 * - {@link Unpack}, after which it gets bytes that were unpacked; the answer is ignored.
 */
export type Parser<T> = Generator<number | 'pause' | Unpack, T, Input>

/** Asks that the rest of the source be unpacked. */
export interface Unpack {
  readonly format: 'gzip' | 'zstd'
  /** Bytes of it that the parser was given already. */
  readonly first: Buffer
}

/** The answer where there are no more bytes, or none were asked for. */
export const AT_END: Input = { bytes: undefined, passed: 0 }

/** Runs a parser over bytes that another parser holds, which passes on its pauses. */
export function* parseWithin<T>(parser: Parser<T>, bytes: Uint8Array): Parser<T> {
  let left: Uint8Array | undefined = bytes
  let step = parser.next()
  while (!step.done) {
    if (typeof step.value !== 'number') {
      yield step.value
      step = parser.next(AT_END)
    } else {
      step = parser.next({ bytes: left, passed: 0 })
      left = undefined
    }
  }
  return step.value
}

const NOTHING: Buffer = Buffer.alloc(0)

/**
 * The bytes of a stream in order, big-endian. First comes {@link need}, then the plain readers, which
 * look at nothing but the bytes at hand: that keeps the loop over a guest's RAM free of calls that
 * may wait.
 */
export class ByteReader {
  /** The bytes at hand, of which those before `#position` are done with. */
  #window: Buffer = NOTHING
  #position = 0
  /** What follows the window, if that is a bridge from one chunk to the next. */
  #following: Buffer | undefined
  /** Where in the stream the window begins. */
  #base: number
  /** Records or sections since the last pause. */
  #parsed = 0
  readonly #end: string

  /** @param end what it means if there are no more bytes, as the beginning of an error's message */
  constructor(base = 0, end = 'The stream ends') {
    this.#base = base
    this.#end = end
  }

  /** Where in the stream the next byte is. */
  get offset(): number {
    return this.#base + this.#position
  }

  /** The bytes at hand, those before {@link position} too. */
  get window(): Buffer {
    return this.#window
  }

  get position(): number {
    return this.#position
  }

  has(length: number): boolean {
    return this.#window.length - this.#position >= length
  }

  /**
   * Sees to it that the next `length` bytes are at hand, in one piece: for a few bytes, since those
   * of two chunks are copied together.
   *
   * @throws VmstateError ERR_VMSTATE_TRUNCATED if the stream ends before, inside `what`
   */
  *need(length: number, what: string): Parser<void> {
    if (this.has(length)) return
    const start = this.offset
    // A copy, since the next chunk may be read into the same memory.
    let bridge: Buffer = Buffer.from(this.#window.subarray(this.#position))
    while (bridge.length < length) {
      const next = yield* this.#next(0)
      if (next === undefined) throw truncated(`${this.#end} inside ${what}`, this.#base)
      this.#window = next
      if (bridge.length === 0 && next.length >= length) return
      this.#position = next.length
      const missing = length - bridge.length
      bridge = Buffer.concat([bridge, next.subarray(0, missing)])
      this.#following = next.subarray(missing)
    }
    this.#window = bridge
    this.#base = start
    this.#position = 0
  }

  /** Whether there is nothing left. */
  *isAtEnd(): Parser<boolean> {
    if (this.has(1)) return false
    const next = yield* this.#next(0)
    if (next === undefined) return true
    this.#window = next
    return false
  }

  /** Passes over bytes that nobody needs. */
  *skip(length: number, what: string): Parser<void> {
    const end = this.offset + length
    while (this.#base + this.#window.length < end) {
      const next = yield* this.#next(end - this.#base - this.#window.length)
      if (next === undefined) throw truncated(`${this.#end} inside ${what}`, this.#base)
      this.#window = next
    }
    this.#position = end - this.#base
  }

  /** All bytes up to the end, or the first `limit` of them, in memory of their own. */
  *rest(limit: number): Parser<Buffer> {
    const held = new Held(limit)
    while (held.length < limit && !(yield* this.isAtEnd())) {
      held.add(this.#drain(limit - held.length))
    }
    return held.bytes()
  }

  /** The next `length` bytes, in memory of their own that grows as they arrive. */
  *take(length: number, what: string): Parser<Buffer> {
    const held = new Held(length)
    while (held.length < length) {
      if (yield* this.isAtEnd()) throw truncated(`${this.#end} inside ${what}`, this.offset)
      held.add(this.#drain(length - held.length))
    }
    return held.bytes()
  }

  /**
   * How many bytes are left. A file says it without being read; of other sources bytes are read until
   * there are more than `limit`.
   */
  *countRest(limit: number): Parser<number> {
    const start = this.offset
    this.#position = this.#window.length
    while (this.offset - start <= limit) {
      const next = yield* this.#next(Number.MAX_SAFE_INTEGER)
      if (next === undefined) break
      this.#window = next
      this.#position = next.length
    }
    return this.offset - start
  }

  /** Counts records or sections, and says when a parser should pause. */
  isTurnOver(): boolean {
    this.#parsed = (this.#parsed + 1) % TURN
    return this.#parsed === 0
  }

  /** Counts offsets from here on, where a stream begins that is wrapped in something. */
  startHere(): void {
    this.#base = -this.#position
  }

  /** The same for a stream that is packed: what comes next is unpacked. */
  *unpackHere(format: Unpack['format']): Parser<void> {
    const first = Buffer.concat([this.#window.subarray(this.#position), this.#following ?? NOTHING])
    this.#window = NOTHING
    this.#following = undefined
    this.#position = 0
    this.#base = 0
    yield { format, first }
  }

  peek(): number {
    return this.#window[this.#position] ?? 0
  }

  u8(): number {
    return this.#window[this.#position++] ?? 0
  }

  u16(): number {
    const value = this.#window.readUInt16BE(this.#position)
    this.#position += 2
    return value
  }

  u32(): number {
    const value = this.#window.readUInt32BE(this.#position)
    this.#position += 4
    return value
  }

  u64(): bigint {
    const value = this.#window.readBigUInt64BE(this.#position)
    this.#position += 8
    return value
  }

  /** The next bytes, not copied. */
  bytes(length: number): Buffer {
    const start = this.#position
    this.#position += length
    return this.#window.subarray(start, this.#position)
  }

  /** Passes over bytes at hand. */
  pass(length: number): void {
    this.#position += length
  }

  /** A name: one byte of length, then printable ASCII. */
  *name(what: string): Parser<string> {
    yield* this.need(1, what)
    return yield* this.text(this.u8(), what)
  }

  /** Printable ASCII, and at least one character of it. */
  *text(length: number, what: string): Parser<string> {
    const at = this.offset
    if (length === 0) throw malformed(`No text where ${what} must be`, at)
    yield* this.need(length, what)
    const text = this.bytes(length).toString('latin1')
    if (!/^[ -~]+$/.test(text)) {
      throw malformed(`${shown(text)} is no text, where ${what} must be`, at)
    }
    return text
  }

  #drain(limit: number): Buffer {
    return this.bytes(Math.min(limit, this.#window.length - this.#position))
  }

  /**
   * What comes after the window, which is empty afterwards. Up to `mayPass` bytes in front of it may
   * be left out; `#base` says where it begins.
   */
  *#next(mayPass: number): Parser<Buffer | undefined> {
    this.#base += this.#window.length
    this.#window = NOTHING
    this.#position = 0
    const following = this.#following
    this.#following = undefined
    if (following !== undefined && following.length > 0) return following
    for (let left = mayPass; ;) {
      const { bytes, passed }: Input = yield left
      this.#base += passed
      left -= passed
      if (bytes === undefined) return undefined
      if (bytes.length > 0) return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    }
  }
}
