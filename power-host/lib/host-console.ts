import { ConsoleReader, type ConsolePiece } from './console.ts'
import { RunningTests } from './running-tests.ts'

export interface Outputs {
  stdout: { write: (bytes: Buffer) => unknown }
  stderr: { write: (bytes: Buffer) => unknown }
  /** Called when the command begins. */
  onBegin: () => void
}

/** How many bytes of the console are kept, to be shown if something fails. */
const keptBytes = 64 * 1024

/** Follows the emulated host by its console, and passes on its command's output. */
export class HostConsole {
  exitStatus: number | undefined
  /** The message that the command sent besides its output. */
  result: string | undefined
  /** Why the host could not run the command. */
  failure: string | undefined
  readonly #reader: ConsoleReader
  readonly #outputs: Outputs
  readonly #tests = new RunningTests()
  #stage = 'starting its kernel'
  #running = false
  #console: Buffer = Buffer.alloc(0)

  constructor(token: string, outputs: Outputs) {
    this.#reader = new ConsoleReader(token)
    this.#outputs = outputs
  }

  read(chunk: Buffer): void {
    for (const piece of this.#reader.push(chunk)) this.#handle(piece)
  }

  endOfConsole(): void {
    for (const piece of this.#reader.end()) this.#handle(piece)
  }

  get finished(): boolean {
    return this.exitStatus !== undefined || this.failure !== undefined
  }

  /** What the host is doing at the moment, for messages. */
  get doing(): string {
    return this.#tests.any ? `running ${this.#tests.list}` : this.#stage
  }

  /** The end of the console's output, including the command's. */
  get console(): string {
    return this.#console.toString('utf8')
  }

  #handle(piece: ConsolePiece): void {
    if (piece.kind === 'text') {
      this.#keep(piece.bytes)
      if (this.#running) this.#outputs.stdout.write(piece.bytes)
      return
    }
    switch (piece.word) {
      case 'stage':
        this.#stage = piece.rest.toString('utf8')
        break
      case 'begin':
        this.#stage = 'running the command'
        this.#running = true
        this.#outputs.onBegin()
        break
      case 'stderr': {
        const line = Buffer.concat([piece.rest, Buffer.from('\n')])
        this.#keep(line)
        this.#outputs.stderr.write(line)
        break
      }
      case 'at':
        this.#tests.at(piece.rest.toString('utf8'))
        break
      case 'done':
        this.#tests.done(piece.rest.toString('utf8'))
        break
      case 'result':
        this.result = piece.rest.toString('utf8')
        break
      case 'exit':
        this.#running = false
        this.exitStatus = Number(piece.rest.toString('latin1'))
        break
      case 'failed':
        this.failure = `cannot be used: ${piece.rest.toString('utf8')}`
        break
    }
  }

  #keep(bytes: Buffer): void {
    this.#console = Buffer.concat([this.#console, bytes]).subarray(-keptBytes)
  }
}
