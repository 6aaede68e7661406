import type { Socket } from 'node:net'
import { createInterface } from 'node:readline'

export type Message = Readonly<Record<string, unknown>>

/** Messages over a connection, one JSON document a line. */
export class Wire {
  readonly #socket: Socket
  readonly #lines: AsyncIterator<string>

  /** @param silenceMs how long the other side may be silent before the connection is given up */
  constructor(socket: Socket, silenceMs: number) {
    this.#socket = socket
    const lines = createInterface({ input: socket })
    this.#lines = lines[Symbol.asyncIterator]()
    // An error is always followed by 'close', which ends the lines.
    socket.on('error', () => undefined)
    socket.on('close', () => {
      lines.close()
    })
    socket.setTimeout(silenceMs, () => socket.destroy())
  }

  send(message: Message): void {
    this.#socket.write(`${JSON.stringify(message)}\n`)
  }

  /** The next message; an error if the connection ended before it came. */
  async receive(): Promise<Message> {
    const line = await this.#lines.next()
    if (line.done === true) throw new Error('The connection ended without an answer')
    return JSON.parse(line.value) as Message
  }

  close(): void {
    this.#socket.end()
  }
}
