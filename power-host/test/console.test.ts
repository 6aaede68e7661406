import { describe, expect, test } from 'vitest'
import { ConsoleReader } from '../lib/console.ts'

const token = '0123456789abcdef'
const mark = (line: string): string => `\x1e${token} ${line}\n`

/** What the reader makes of the chunks: text as it is, marked lines in angle brackets. */
function read(chunks: readonly Buffer[]): string {
  const reader = new ConsoleReader(token)
  const pieces = [...chunks.flatMap((chunk) => [...reader.push(chunk)]), ...reader.end()]
  return pieces
    .map((piece) =>
      piece.kind === 'text'
        ? piece.bytes.toString('latin1')
        : `<${piece.word}|${piece.rest.toString('latin1')}>`,
    )
    .join('')
}

const readText = (text: string): string => read([Buffer.from(text, 'latin1')])

describe('ConsoleReader', () => {
  test('finds a mark in the middle of a line of output', () => {
    expect(readText(`abc${mark('stderr a warning')}def\n`)).toBe('abc<stderr|a warning>def\n')
  })

  test('finds marks that follow each other, and words alone', () => {
    expect(readText(mark('begin') + mark('stderr ') + mark('exit 3'))).toBe(
      '<begin|><stderr|><exit|3>',
    )
  })

  test('reads the same however the bytes are cut into chunks', () => {
    const bytes = Buffer.from(
      `a\x1e${mark('begin')}\x00\xff\x1e\r\n${mark('exit 0')}rest\x1e`,
      'latin1',
    )
    const whole = read([bytes])
    expect(whole).toBe('a\x1e<begin|>\x00\xff\x1e\r\n<exit|0>rest\x1e')
    for (let first = 0; first <= bytes.length; first++) {
      for (let second = first; second <= bytes.length; second++) {
        const parts = [bytes.subarray(0, first), bytes.subarray(first, second)]
        expect(read([...parts, bytes.subarray(second)])).toBe(whole)
      }
    }
  })

  test('passes through what only looks like a mark', () => {
    const almost = [`${token} exit 0\n`, '\x1eexit 0\n', `\x1e${token.slice(1)} exit 0\n`]
    for (const text of almost) expect(readText(text)).toBe(text)
  })

  test('hands out text at once unless it may become a mark', () => {
    const reader = new ConsoleReader(token)
    const pushed = [...reader.push(Buffer.from('no newline yet\x1e0123'))]
    expect(pushed).toEqual([{ kind: 'text', bytes: Buffer.from('no newline yet') }])
  })

  test('gives back a mark whose line never ended as text', () => {
    expect(readText(`\x1e${token} exit`)).toBe(`\x1e${token} exit`)
  })
})
