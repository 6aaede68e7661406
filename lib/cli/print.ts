import { VmstateError } from '../errors.ts'
import { outputWidth, pad, visibleLength, wrap } from './terminal.ts'

/** The formats of numbers and tables in the command line's output. */

const GAP = '  '

const thousands = new Intl.NumberFormat('en-US')

/** 1234567n as 1,234,567. */
export function grouped(value: bigint | number): string {
  return thousands.format(value)
}

/** As {@link grouped}, with a plus sign if it is above 0. */
export function signed(value: bigint): string {
  return value > 0n ? `+${grouped(value)}` : grouped(value)
}

/** Ticks of a timebase as seconds, to the microsecond. */
export function seconds(ticks: bigint, frequency: bigint): string {
  return `${(Number((ticks * 1_000_000n) / frequency) / 1e6).toFixed(6)} s`
}

/** Ticks of a timebase as milliseconds, to the microsecond. */
export function milliseconds(ticks: bigint, frequency: bigint): string {
  return `${(Number((ticks * 1_000_000n) / frequency) / 1e3).toFixed(3)} ms`
}

/** ns since the epoch as ISO 8601, to the nanosecond. */
export function timeOfDay(ns: bigint): string {
  // The fraction is never negative, so times before 1970 round down as well.
  const fractionNs = ((ns % 1_000_000_000n) + 1_000_000_000n) % 1_000_000_000n
  const wholeSeconds = (ns - fractionNs) / 1_000_000_000n
  const fraction = fractionNs.toString().padStart(9, '0')
  return new Date(Number(wholeSeconds) * 1000).toISOString().replace('.000Z', `.${fraction}Z`)
}

/** The length of the longest text. `Math.max(...lengths)` would fail for a file with very many names. */
export function widest(texts: readonly string[]): number {
  return texts.reduce((width, text) => Math.max(width, visibleLength(text)), 0)
}

/**
 * Escapes all control characters but newlines: names in a file may be made to control the terminal. In
 * JSON the escapes mean the same characters.
 */
export function printable(text: string): string {
  // eslint-disable-next-line no-control-regex -- control characters are what it looks for
  return text.replace(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/g, (character) => {
    const code = character.charCodeAt(0)
    return `\\u${code.toString(16).padStart(4, '0')}`
  })
}

/** A last column that is narrower than this is not worth wrapping. */
const MIN_WRAPPED = 24

/** Formats rows of cells as columns. The last column is wrapped at the width of the terminal. */
export function table(rows: readonly (readonly string[])[], width = outputWidth()): string {
  const widths = (rows[0] ?? []).map((_, column) => widest(rows.map((row) => row[column] ?? '')))
  const before = widths.slice(0, -1).reduce((sum, column) => sum + column + GAP.length, 0)
  const room = width - before < MIN_WRAPPED ? Infinity : width - before
  return rows
    .flatMap((row) => {
      const cells = row.map((cell, column) => pad(cell, widths[column] ?? 0))
      const last = row[widths.length - 1]
      if (last === undefined) return cells.join(GAP).trimEnd()
      const [first = '', ...more] = wrap(last, room)
      const line = [...cells.slice(0, -1), first].join(GAP).trimEnd()
      return [line, ...more.map((text) => ' '.repeat(before) + text)]
    })
    .join('\n')
}

/**
 * The most numbers in arrays that are written as JSON. A guest of 2048 vCPUs has about 2.5 million. Each
 * takes up to 40 characters, and a string in JavaScript has at most 2^29.
 */
const NUMBERS_LIMIT = 1 << 22

/** The version of all documents that `--json` prints: see docs/cli.schema.json. */
export const DOCUMENT_VERSION = 1

/**
 * A document for scripts: JSON with a version, in which 64-bit values are decimal strings, bytes are
 * hexadecimal, and other typed arrays are arrays.
 */
export function json(fields: object): string {
  let numbers = 0
  const writable = (held: unknown): unknown => {
    if (typeof held === 'bigint') return held.toString()
    if (held instanceof Uint8Array) return Buffer.from(held).toString('hex')
    if (!ArrayBuffer.isView(held)) return held
    const elements = held as unknown as ArrayLike<number | bigint>
    numbers += elements.length
    if (numbers > NUMBERS_LIMIT) {
      throw new VmstateError(
        'ERR_VMSTATE_LIMIT',
        `It has more than ${NUMBERS_LIMIT} numbers in arrays, too many for JSON`,
      )
    }
    return Array.from(elements)
  }
  // The parts of an object are converted here, before JSON.stringify visits them: it would call a
  // Buffer's own toJSON first, which makes an array with a number for each byte.
  const replacer = (_key: string, held: unknown): unknown => {
    if (typeof held !== 'object' || held === null) return held
    if (Array.isArray(held)) return held.map(writable)
    return Object.fromEntries(Object.entries(held).map(([name, part]) => [name, writable(part)]))
  }
  return JSON.stringify({ version: DOCUMENT_VERSION, ...fields }, replacer, 2)
}
