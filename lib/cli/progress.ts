/** Larger files take so long that a progress bar is shown. Bytes. */
const LARGE = 100_000_000

const WIDTH = 40
const INTERVAL_MS = 100
const CLEAR = '\r\x1b[K'

/** Passes the chunks on, and shows a progress bar on the terminal if the file is large. */
export function withProgress(
  chunks: AsyncIterable<Buffer>,
  size: number,
  terminal: Pick<NodeJS.WriteStream, 'isTTY' | 'write'> = process.stderr,
): AsyncIterable<Buffer> {
  return size > LARGE && terminal.isTTY ? shown(chunks, size, terminal) : chunks
}

async function* shown(
  chunks: AsyncIterable<Buffer>,
  size: number,
  terminal: Pick<NodeJS.WriteStream, 'write'>,
): AsyncGenerator<Buffer> {
  let done = 0
  let last = -Infinity
  try {
    for await (const chunk of chunks) {
      done += chunk.length
      const now = performance.now()
      if (now - last >= INTERVAL_MS) {
        terminal.write(`\r${bar(done / size)}`)
        last = now
      }
      yield chunk
    }
  } finally {
    terminal.write(CLEAR)
  }
}

function bar(share: number): string {
  const part = Math.min(share, 1)
  const filled = Math.floor(part * WIDTH)
  return `[${'='.repeat(filled)}${' '.repeat(WIDTH - filled)}] ${(100 * part).toFixed(0).padStart(3)} %`
}

/** A line on the terminal that says how far a command is; nothing where standard error is not one. */
export class Status {
  readonly #terminal: Pick<NodeJS.WriteStream, 'isTTY' | 'write'>
  #last = -Infinity

  constructor(terminal: Pick<NodeJS.WriteStream, 'isTTY' | 'write'> = process.stderr) {
    this.#terminal = terminal
  }

  show(text: string): void {
    const now = performance.now()
    if (!this.#terminal.isTTY || now - this.#last < INTERVAL_MS) return
    this.#last = now
    this.#terminal.write(`${CLEAR}${text}`)
  }

  clear(): void {
    if (this.#last !== -Infinity) this.#terminal.write(CLEAR)
    this.#last = -Infinity
  }
}
