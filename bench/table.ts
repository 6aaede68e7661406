/** One line of the table. */
export interface Row {
  readonly what: string
  /** The figure for one call: in bytes if `unit` is that, otherwise in ns, which `ms` shows in ms. */
  readonly ns: number
  /** The figure of the C program for the same calls. */
  readonly baseline?: number | undefined
  /** The figure of the C program with a second thread. */
  readonly threaded?: number | undefined
  /** The ratio to `baseline`, or the time or number of bytes, that it should not exceed. */
  readonly goal?: string | undefined
  readonly unit?: 'ms' | 'bytes'
}

/** Formats the rows as text. */
export function table(rows: readonly Row[]): string {
  const lines = [
    ['', 'this library', 'C', 'ratio', 'goal', 'C, 2 threads', 'ratio'],
    ...rows.map(({ what, ns, baseline, threaded, goal = '', unit }) => [
      what,
      shown(ns, unit),
      ...beside(ns, baseline),
      goal,
      ...beside(ns, threaded),
    ]),
  ]
  const widths = (lines[0] ?? []).map((_, column) =>
    Math.max(...lines.map((line) => line[column]?.length ?? 0)),
  )
  return lines
    .map((line) =>
      line
        .map((text, column) => {
          const width = widths[column] ?? 0
          return column === 0 ? text.padEnd(width) : text.padStart(width)
        })
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

function shown(ns: number, unit: Row['unit']): string {
  if (unit === 'ms') return `${(ns / 1e6).toFixed(1)} ms`
  return unit === 'bytes' ? `${ns.toFixed(1)} bytes` : figure(ns)
}

function beside(ns: number, other: number | undefined): [string, string] {
  return other === undefined ? ['', ''] : [figure(other), (ns / other).toFixed(3)]
}

function figure(ns: number): string {
  return ns.toFixed(ns < 1000 ? 1 : 0)
}
