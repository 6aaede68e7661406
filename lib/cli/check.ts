import { table } from './print.ts'
import { styled } from './terminal.ts'

/**
 * One line of `info`: the thing that was checked, what was found, and what to do about it. If a check
 * `failed`, no timebase can be moved; a `warning` is a lesser problem; a `note` is information.
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

/** A line for each check; the remedy is on a line below it. */
export function checkLines(checks: readonly Check[]): string {
  return table(
    checks.flatMap(({ name, status, found, remedy }) => [
      [marks[status](), name, found],
      ...(remedy === undefined ? [] : [['', '', `to do: ${remedy}`]]),
    ]),
  )
}
