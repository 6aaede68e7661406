import type { Writable } from 'node:stream'
import type { ReadStream } from 'node:tty'
import type { Ended } from './boot.ts'
import { note } from './progress.ts'

/** Ctrl-], as telnet(1) has it: for us, not for the emulated host. */
const LEAVE = 0x1d
/** Ctrl-D, which ends the input of a terminal. */
const END_OF_INPUT = Buffer.of(0x04)

type Input = Pick<ReadStream, 'isTTY' | 'setRawMode' | 'on' | 'off' | 'resume' | 'pause'>

/**
 * Our terminal, or a pipe, as the keyboard of an emulated host. Each key of a terminal goes there as
 * it is, Ctrl-C too; only Ctrl-] stays here.
 */
export class Keyboard {
  readonly #input: Input
  readonly #leave: () => void
  #console: Writable | undefined

  constructor(input: Input, leave: () => void) {
    this.#input = input
    this.#leave = leave
  }

  connect(console: Writable): void {
    this.#console = console
    // It may have ended before we did.
    console.on('error', () => undefined)
    if (this.#input.isTTY) this.#input.setRawMode(true)
    this.#input.on('data', this.#typed)
    this.#input.on('end', this.#ended)
    this.#input.resume()
  }

  disconnect(): void {
    this.#input.off('data', this.#typed)
    this.#input.off('end', this.#ended)
    if (this.#input.isTTY) this.#input.setRawMode(false)
    this.#input.pause()
  }

  readonly #typed = (keys: Buffer): void => {
    if (this.#input.isTTY && keys.includes(LEAVE)) this.#leave()
    else this.#console?.write(keys)
  }

  readonly #ended = (): void => {
    this.#console?.write(END_OF_INPUT)
  }
}

/**
 * Runs a host whose keyboard is ours, until its command ends or someone types Ctrl-]. Pass the keyboard
 * and the signal on to {@link runOnHost}.
 */
export async function typedOn(
  runIt: (keyboard: Keyboard, giveUp: AbortSignal) => Promise<Ended>,
): Promise<Ended> {
  const left = new AbortController()
  const keyboard = new Keyboard(process.stdin, () => {
    left.abort(new Error('left with Ctrl-]'))
  })
  try {
    return await runIt(keyboard, left.signal)
  } catch (error) {
    if (!left.signal.aborted) throw error
    note('left')
    return { status: 0, result: undefined }
  }
}
