import type { Writable } from 'node:stream'
import type { ReadStream } from 'node:tty'
import type { Ended } from './boot.ts'
import { note } from './progress.ts'

/** Ctrl-], which ends the host and is not passed on to it; the same key as in telnet(1). */
const LEAVE = 0x1d
/** Ctrl-D, which ends the input of a terminal. */
const END_OF_INPUT = Buffer.of(0x04)

type Input = Pick<ReadStream, 'isTTY' | 'setRawMode' | 'on' | 'off' | 'resume' | 'pause'>

/**
 * Makes this terminal, or a pipe, the keyboard of an emulated host. Every key of a terminal is passed on, also
 * Ctrl-C, except Ctrl-].
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
    // The host may have ended already.
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
 * Runs a host with this terminal as its keyboard, until its command ends or Ctrl-] is typed. Pass the keyboard
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
