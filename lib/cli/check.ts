import { table } from './print.ts'
import { styled } from './terminal.ts'

/**
 * What was looked at, what was found, and what to do about it. `failed` keeps the library from its
 * work; a `warning` does not, but somebody should know; a `note` is neither good nor bad.
 */
export interface Check {
  readonly name: string
  readonly status: 'ok' | 'warning' | 'failed' | 'note'
  readonly found: string
  readonly remedy?: string
}

const marks = {
  ok: styledMark('green', 'ok'),
  warning: styledMark('yellow', 'warn'),
  failed: styledMark('red', 'FAIL'),
  note: styledMark('dim', '-'),
} as const

function styledMark(format: 'green' | 'yellow' | 'red' | 'dim', text: string): () => string {
  return () => styled(format, text)
}

/** A line for each, and below it what to do. */
export function checkLines(checks: readonly Check[]): string {
  return table(
    checks.flatMap(({ name, status, found, remedy }) => [
      [marks[status](), name, found],
      ...(remedy === undefined ? [] : [['', '', `to do: ${remedy}`]]),
    ]),
  )
}
