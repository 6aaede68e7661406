import { outputWidth, pad, visibleLength, wrap } from './terminal.ts'

/** How the command line writes numbers and tables. */

const GAP = '  '

const thousands = new Intl.NumberFormat('en-US')

/** 1234567n as 1,234,567. */
export function grouped(value: bigint | number): string {
  return thousands.format(value)
}

/** The same, with a plus sign where it is above 0. */
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
  // Rounded down, before 1970 too.
  const fractionNs = ((ns % 1_000_000_000n) + 1_000_000_000n) % 1_000_000_000n
  const wholeSeconds = (ns - fractionNs) / 1_000_000_000n
  const fraction = fractionNs.toString().padStart(9, '0')
  return new Date(Number(wholeSeconds) * 1000).toISOString().replace('.000Z', `.${fraction}Z`)
}

/** A last column that is narrower than this is not worth wrapping. */
const MIN_WRAPPED = 24

/** Rows of cells in columns; the last is wrapped where the terminal ends. */
export function table(rows: readonly (readonly string[])[], width = outputWidth()): string {
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(...rows.map((row) => visibleLength(row[column] ?? ''))),
  )
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

/** JSON for scripts: 64-bit values are decimal strings, bytes are hexadecimal, other typed arrays are arrays. */
export function json(value: unknown): string {
  return JSON.stringify(value, replacer, 2)
}

function replacer(this: Readonly<Record<string, unknown>>, key: string, held: unknown): unknown {
  if (typeof held === 'bigint') return held.toString()
  // A Buffer has been made into another object at this point.
  const original = this[key]
  if (original instanceof Uint8Array) return Buffer.from(original).toString('hex')
  if (ArrayBuffer.isView(original)) return [...(original as unknown as Iterable<number | bigint>)]
  return held
}
