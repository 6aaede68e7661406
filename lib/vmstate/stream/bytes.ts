import { shown } from '../../checks.ts'
import { malformed, truncated } from './errors.ts'
import { Held } from './held.ts'
import { TURN } from './limits.ts'

/** The answer to a parser that asked for more bytes. */
export interface Input {
  /** The next bytes, valid until the parser asks again; undefined after the last. */
  readonly bytes: Uint8Array | undefined
  /** How many bytes in front of them the source skipped: at most as many as the parser allowed. */
  readonly passed: number
}

/** Gives the bytes of a source in order. */
export interface ByteSource {
  /** The next bytes, valid until the next call. The source may skip up to `mayPass` bytes in front of them. */
  next(mayPass: number): Input | Promise<Input>
  /** Called when no more bytes are needed. */
  close(): Promise<void>
}

/**
 * A parser that suspends itself when it needs more bytes, so that the same code reads from memory, a
 * file or a pipe. It yields one of:
 *
 * - a number, to ask for the next bytes: so many bytes may be skipped without being read;
 * - `'pause'`, so that a long parse does not block the event loop; the answer is ignored;
 * - {@link Unpack}, after which it gets bytes that were unpacked; the answer is ignored.
 */
export type Parser<T> = Generator<number | 'pause' | Unpack, T, Input>

/** Asks that the rest of the source be unpacked. */
export interface Unpack {
  readonly format: 'gzip' | 'zstd'
  /** The packed bytes that the parser got already. */
  readonly first: Buffer
}

/** The answer if there are no more bytes, or if the parser did not ask for any. */
export const AT_END: Input = { bytes: undefined, passed: 0 }

/** Runs a parser over bytes that the calling parser holds. Its pauses become those of the caller. */
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
 * Reads a stream's bytes in order, big-endian. Call {@link need} first, and then the plain readers, which
 * read only bytes that are in memory: so the loop over a guest's RAM does not contain calls that may wait.
 */
export class ByteReader {
  /** The bytes in memory, of which those before `#position` have been read. */
  #window: Buffer = NOTHING
  #position = 0
  /** The rest of the last chunk, if the window is a copy that joins the ends of two chunks. */
  #following: Buffer | undefined
  /** The offset of the window in the stream. */
  #base: number
  /** How many records or sections were read since the last pause. */
  #parsed = 0
  readonly #end: string

  /** @param end the beginning of the error message for a stream that ends too early */
  constructor(base = 0, end = 'The stream ends') {
    this.#base = base
    this.#end = end
  }

  /** The offset of the next byte in the stream. */
  get offset(): number {
    return this.#base + this.#position
  }

  /** The bytes in memory, including those before {@link position}. */
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
   * Makes sure that the next `length` bytes are in memory, in one piece. Use it for a few bytes, since they
   * are copied where they cross from one chunk to the next.
   *
   * @param what the part of the stream that the bytes are in, for the error
   * @throws VmstateError ERR_VMSTATE_TRUNCATED if the stream ends before that
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

  /** Whether there are no more bytes. */
  *isAtEnd(): Parser<boolean> {
    if (this.has(1)) return false
    const next = yield* this.#next(0)
    if (next === undefined) return true
    this.#window = next
    return false
  }

  /** Skips bytes, which a source that is a file does not even read. */
  *skip(length: number, what: string): Parser<void> {
    const end = this.offset + length
    while (this.#base + this.#window.length < end) {
      const next = yield* this.#next(end - this.#base - this.#window.length)
      if (next === undefined) throw truncated(`${this.#end} inside ${what}`, this.#base)
      this.#window = next
    }
    this.#position = end - this.#base
  }

  /** A copy of all bytes up to the end, or of the first `limit` of them. */
  *rest(limit: number): Parser<Buffer> {
    const held = new Held(limit)
    while (held.length < limit && !(yield* this.isAtEnd())) {
      held.add(this.#drain(limit - held.length))
    }
    return held.bytes()
  }

  /** A copy of the next `length` bytes, in memory that grows as they arrive. */
  *take(length: number, what: string): Parser<Buffer> {
    const held = new Held(length)
    while (held.length < length) {
      if (yield* this.isAtEnd()) throw truncated(`${this.#end} inside ${what}`, this.offset)
      held.add(this.#drain(length - held.length))
    }
    return held.bytes()
  }

  /**
   * How many bytes are left. For a file its size tells; from other sources bytes are read until there are
   * more than `limit`.
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

  /** Counts a record or section. Returns true if the parser should pause now. */
  isTurnOver(): boolean {
    this.#parsed = (this.#parsed + 1) % TURN
    return this.#parsed === 0
  }

  /** Makes this place offset 0: here begins the stream that another format wraps. */
  startHere(): void {
    this.#base = -this.#position
  }

  /** Like {@link startHere} for a packed stream: the next bytes are unpacked ones. */
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

  /** Skips bytes that are in memory. */
  pass(length: number): void {
    this.#position += length
  }

  /** A name: its length (u8), then printable ASCII. */
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
      throw malformed(`${shown(text)} is not printable ASCII, as ${what} must be`, at)
    }
    return text
  }

  #drain(limit: number): Buffer {
    return this.bytes(Math.min(limit, this.#window.length - this.#position))
  }

  /**
   * The bytes after the window, which is empty afterwards. The source may skip up to `mayPass` bytes in front
   * of them; `#base` is then their offset.
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
