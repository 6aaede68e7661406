import { exitStatus } from 'power-host'
import type { Result } from './host/reporter.ts'

/** How a run of the suite on one machine with one kernel went; none if there was no time for it. */
export interface Outcome {
  status: number
  /** It is missing where Vitest did not come to its end. */
  result: Result | undefined
  seconds: number
}

/** The outcomes in rows and columns, as text. */
export function outcomeTable(
  rows: readonly string[],
  columns: readonly string[],
  outcomeOf: (row: string, column: string) => Outcome | undefined,
): string {
  const body = rows.map((row) => [row, ...columns.map((column) => cell(outcomeOf(row, column)))])
  const lines = [['', ...columns], ...body]
  const widths = lines[0]?.map((_, at) => Math.max(...lines.map((line) => line[at]?.length ?? 0)))
  return lines
    .map((line) => line.map((text, at) => text.padEnd(widths?.[at] ?? 0)).join('  '))
    .map((line) => `${line.trimEnd()}\n`)
    .join('')
}

function cell(outcome: Outcome | undefined): string {
  if (outcome === undefined) return 'not run'
  return `${verdict(outcome)}, ${outcome.seconds.toFixed(0)} s`
}

function verdict({ status, result }: Outcome): string {
  if (result === undefined) return withoutResult(status)
  const { passed, failed, skipped } = result
  if (status === 0) return `ok ${passed}`
  const wrong = Object.entries({ failed, skipped }).filter(([, count]) => count > 0)
  // A file that cannot be loaded fails without any test in it.
  if (wrong.length === 0) return `FAILED, BUT ${passed} OK`
  const counts = wrong.map(([name, count]) => `${count} ${name}`)
  return `${counts.join(', ')} of ${passed + failed + skipped}`.toUpperCase()
}

function withoutResult(status: number): string {
  switch (status) {
    case exitStatus.timedOut:
      return 'TIMED OUT'
    case exitStatus.hostFailed:
      return 'NO HOST'
    default:
      return `FAILED with status ${status}`
  }
}
