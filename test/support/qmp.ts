import { spawn } from 'node:child_process'
import type { ChildProcessWithoutNullStreams } from 'node:child_process'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'

interface Reply {
  readonly return?: unknown
  readonly error?: { readonly desc: string }
}

/** A QEMU with its monitor (QMP) on standard input and output. */
export class Qmp {
  readonly #child: ChildProcessWithoutNullStreams
  readonly #replies: AsyncIterator<string, undefined>
  /** QEMU's standard error. */
  said = ''

  constructor(program: string, args: readonly string[], env: NodeJS.ProcessEnv = process.env) {
    this.#child = spawn(program, [...args, '-qmp', 'stdio'], { env })
    this.#child.stderr.setEncoding('utf8').on('data', (text: string) => (this.said += text))
    // One that has ended takes no more commands; the missing reply tells.
    this.#child.stdin.on('error', () => undefined)
    this.#child.on('error', (error) => (this.said += error.message))
    this.#replies = createInterface(this.#child.stdout)[Symbol.asyncIterator]()
  }

  /** Sends a command and returns QEMU's reply; events are skipped. */
  async execute(command: string, parameters: object = {}): Promise<unknown> {
    this.#child.stdin.write(`${JSON.stringify({ execute: command, arguments: parameters })}\n`)
    for (;;) {
      const { value: line } = await this.#replies.next()
      if (line === undefined) throw new Error(`QEMU ended at ${command}: ${this.said}`)
      // qemu-io, which the monitor for people offers, prints to standard output.
      if (!line.startsWith('{')) continue
      const reply = JSON.parse(line) as Reply
      if (reply.error !== undefined) throw new Error(`${command}: ${reply.error.desc}`)
      if ('return' in reply) return reply.return
    }
  }

  /** Returns the reply of the human monitor (HMP) to a command. */
  async ask(line: string, cpu = 0): Promise<string> {
    const parameters = { 'command-line': line, 'cpu-index': cpu }
    return (await this.execute('human-monitor-command', parameters)) as string
  }

  /** Has QEMU save its guest into a file; it does not run any more afterwards. */
  async migrateInto(file: string): Promise<void> {
    await this.execute('migrate', { uri: `exec:cat > '${file}'` })
    for (;;) {
      const { status } = (await this.execute('query-migrate')) as { status: string }
      if (status === 'completed') return
      if (status === 'failed') throw new Error('QEMU could not save the guest')
      await sleep(10)
    }
  }

  /** Ends QEMU, whatever it is doing. */
  kill(): void {
    this.#child.kill('SIGKILL')
  }
}
