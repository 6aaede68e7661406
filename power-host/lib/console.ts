/** A piece of the console's output: bytes of the command, or a line that /init marked. */
export type ConsolePiece =
  { kind: 'text'; bytes: Buffer } | { kind: 'mark'; word: string; rest: Buffer }

const firstByte = 0x1e
const newline = 0x0a

/**
 * Finds the lines that /init writes for this program in the console's bytes. Such a line is the byte 0x1e, a
 * token that is random for each run, so that no other output contains it, a word, and the rest of the line. It
 * may begin anywhere, also in the middle of a line of the command's output.
 */
export class ConsoleReader {
  readonly #mark: Buffer
  #pending: Buffer = Buffer.alloc(0)

  constructor(token: string) {
    this.#mark = Buffer.concat([Buffer.of(firstByte), Buffer.from(`${token} `)])
  }

  *push(chunk: Buffer): Generator<ConsolePiece> {
    this.#pending = Buffer.concat([this.#pending, chunk])
    for (;;) {
      const begin = this.#pending.indexOf(this.#mark)
      yield* this.#take(begin < 0 ? this.#certain() : begin)
      if (begin < 0) return
      const end = this.#pending.indexOf(newline)
      if (end < 0) return
      yield parseMark(this.#pending.subarray(this.#mark.length, end))
      this.#pending = this.#pending.subarray(end + 1)
    }
  }

  /** The bytes that were kept because they could have been the beginning of a mark. */
  *end(): Generator<ConsolePiece> {
    yield* this.#take(this.#pending.length)
  }

  *#take(length: number): Generator<ConsolePiece> {
    if (length > 0) yield { kind: 'text', bytes: this.#pending.subarray(0, length) }
    this.#pending = this.#pending.subarray(length)
  }

  /** How many of the pending bytes cannot be the beginning of a mark. */
  #certain(): number {
    const last = this.#pending.lastIndexOf(firstByte)
    if (last < 0) return this.#pending.length
    const rest = this.#pending.subarray(last)
    return this.#mark.subarray(0, rest.length).equals(rest) ? last : this.#pending.length
  }
}

function parseMark(line: Buffer): ConsolePiece {
  const space = line.indexOf(' ')
  const end = space < 0 ? line.length : space
  return { kind: 'mark', word: line.toString('latin1', 0, end), rest: line.subarray(end + 1) }
}
