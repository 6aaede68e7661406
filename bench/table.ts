/** One line of the table. */
export interface Row {
  readonly what: string
  /** For one call, in ns. */
  readonly ns: number
  /** What the C program needs for the same. */
  readonly baseline?: number | undefined
  /** The ratio that it should not exceed. */
  readonly goal?: string | undefined
  readonly unit?: 'ms'
}

/** The rows as text. */
export function table(rows: readonly Row[]): string {
  const lines = [
    ['', 'this library', 'C', 'ratio', 'goal'],
    ...rows.map(({ what, ns, baseline, goal = '', unit }) => [
      what,
      unit === 'ms' ? `${(ns / 1e6).toFixed(1)} ms` : figure(ns),
      baseline === undefined ? '' : figure(baseline),
      baseline === undefined ? '' : (ns / baseline).toFixed(3),
      goal,
    ]),
  ]
  const widths = [0, 1, 2, 3, 4].map((column) =>
    Math.max(...lines.map((line) => line[column]?.length ?? 0)),
  )
  return lines
    .map((line) =>
      line
        .map((text, column) =>
          column === 0 ? text.padEnd(widths[column] ?? 0) : text.padStart(widths[column] ?? 0),
        )
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

function figure(ns: number): string {
  return ns.toFixed(ns < 1000 ? 1 : 0)
}
