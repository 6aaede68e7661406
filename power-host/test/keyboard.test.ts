import { PassThrough } from 'node:stream'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { Keyboard } from '../lib/keyboard.ts'

function connected(isTTY: boolean) {
  const input = Object.assign(new PassThrough(), { isTTY, raw: false, setRawMode })
  function setRawMode(raw: boolean) {
    input.raw = raw
    return input as never
  }
  let left = 0
  const keyboard = new Keyboard(input as never, () => left++)
  const console = new PassThrough()
  keyboard.connect(console)
  // Node 26 returns one chunk at a time.
  const typed = () => {
    let text = ''
    for (let keys; (keys = console.read() as Buffer | null) !== null;) text += keys.toString()
    return text
  }
  return { input, keyboard, typed, left: () => left }
}

describe('a keyboard', () => {
  it('passes on what is typed, Ctrl-C too, from a raw terminal', async () => {
    const { input, keyboard, typed, left } = connected(true)
    expect(input.raw).toBe(true)
    input.write('ls\x03')
    await nextTurn()
    expect(typed()).toBe('ls\x03')
    keyboard.disconnect()
    expect(input.raw).toBe(false)
    input.write('lost')
    await nextTurn()
    expect(typed()).toBe('')
    expect(left()).toBe(0)
  })

  it('leaves with Ctrl-]', async () => {
    const { input, typed, left } = connected(true)
    input.write('\x1d')
    await nextTurn()
    expect(left()).toBe(1)
    expect(typed()).toBe('')
  })

  it('ends the input where a pipe ends, and takes all of it', async () => {
    const { input, typed, left } = connected(false)
    expect(input.raw).toBe(false)
    input.end('a\x1d')
    await nextTurn()
    expect(typed()).toBe('a\x1d\x04')
    expect(left()).toBe(0)
  })
})
