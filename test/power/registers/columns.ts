import type { MeasuredRegister } from './measure.ts'

/**
 * The measurements of several hosts side by side, as a table in Markdown: those registers in which the hosts
 * differ or which a run changes, or all.
 */
export function registerColumns(
  columns: Readonly<Record<string, Readonly<Record<string, MeasuredRegister>>>>,
  all: boolean,
): string {
  const hosts = Object.keys(columns)
  const names = [...new Set(Object.values(columns).flatMap((column) => Object.keys(column)))]
  const rows = names
    .map((name) => [name, ...hosts.map((host) => cell(columns[host]?.[name]))])
    .filter(([, ...cells]) => all || new Set(cells).size > 1 || cells.some(isRemarkable))
  const counts = hosts.map((host) => `${Object.keys(columns[host] ?? {}).length} can be read`)
  const lines = [['', ...hosts], ['all', ...counts], ...rows]
  const widths = ['', ...hosts].map((_, at) =>
    Math.max(3, ...lines.map((line) => line[at]?.length ?? 0)),
  )
  const [head = [], ...body] = lines
  return [head, widths.map((width) => '-'.repeat(width)), ...body]
    .map((line) => `| ${line.map((text, at) => text.padEnd(widths[at] ?? 0)).join(' | ')} |\n`)
    .join('')
}

function isRemarkable(text: string): boolean {
  return text.includes('run')
}

function cell(measured: MeasuredRegister | undefined): string {
  if (measured === undefined) return 'absent'
  const { writable, run } = measured
  const kept = { all: 'keeps all bits', some: 'keeps some bits', none: 'cannot be written' }[
    writable
  ]
  return run === undefined ? kept : `${kept}; a run: ${short(run[0])} to ${short(run[1])}`
}

function short(hexadecimal: string): string {
  return `0x${hexadecimal.replace(/^0+(?=.)/, '')}`
}
