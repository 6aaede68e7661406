import { openSync, writeSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { ReadStream } from 'node:tty'
import { deflateRawSync, inflateRawSync } from 'node:zlib'

/** Anything that JSON can hold; what is of 64 bits goes as a decimal string. */
export type Message = Record<string, unknown>

/** From this length on, a message is compressed: the line transmits 16 bytes at a time. */
const LONG = 1000

/** The serial line between the two hosts: a message is a line of JSON, a long one in compressed form. */
export class Wire {
  readonly #fd: number
  #asked = 0
  readonly #lines: AsyncIterator<string, undefined>

  constructor(device: string) {
    this.#fd = openSync(device, 'r+')
    // As a terminal, not as a file: a read that waits in a thread would keep the process from ending.
    const input = new ReadStream(this.#fd).setRawMode(true)
    this.#lines = createInterface({ input, terminal: false })[Symbol.asyncIterator]()
  }

  send(message: Message): void {
    const text = JSON.stringify(message)
    const bytes = Buffer.from(`${text.length < LONG ? text : packed(text)}\n`)
    for (let sent = 0; sent < bytes.length;) sent += writeSync(this.#fd, bytes, sent)
  }

  async receive(): Promise<Message> {
    for (;;) {
      const { value } = await this.#lines.next()
      if (value === undefined) throw new Error('the wire has ended')
      const message = parsed(value)
      if (message !== undefined) return message
    }
  }

  /** Sends a question and waits for the answer to it: the other host repeats its number. */
  async ask(question: Message): Promise<Message> {
    const number = ++this.#asked
    this.send({ ...question, number })
    for (;;) {
      const answer = await this.receive()
      if (answer['answerTo'] === number) return answer
    }
  }

  /** Asks again and again until the other host is there: until then what is sent is lost. */
  async meet(): Promise<void> {
    const again = setInterval(() => {
      this.send({ do: 'hello', number: 0 })
    }, 200)
    while ((await this.receive())['answerTo'] !== 0);
    clearInterval(again)
  }
}

function packed(text: string): string {
  return JSON.stringify({ packed: deflateRawSync(text).toString('base64') })
}

function unpacked(message: Message): Message {
  const { packed } = message
  if (typeof packed !== 'string') return message
  return JSON.parse(inflateRawSync(Buffer.from(packed, 'base64')).toString()) as Message
}

/** Until both ends are open, each echoes what it gets, and pieces of lines come back. */
function parsed(line: string): Message | undefined {
  try {
    return unpacked(JSON.parse(line) as Message)
  } catch {
    return undefined
  }
}
