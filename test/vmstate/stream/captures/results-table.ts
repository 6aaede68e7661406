import type { Reading } from '../check-folder.ts'
import type { Ledger, LedgerRow } from './ledger.ts'
import { byVersion } from './versions.ts'

/**
 * Markdown of what became of each capture: a table of the migrations by version of QEMU, one of the machine types,
 * and the words of those who refused.
 */
export function resultsTable(
  { rows, good }: Pick<Ledger, 'rows' | 'good'>,
  readings: readonly Reading[],
): string {
  const versions = [...new Set(rows.map(({ qemu }) => qemu))].sort(byVersion)
  const notes = new Notes()
  const outcome = (row: LedgerRow): string => {
    if (row.refusal !== undefined) return `not done by QEMU${notes.mark(`QEMU: ${row.refusal}`)}`
    const failed = readings.find(({ stream, ok }) => stream === row.name && !ok)
    if (failed) return `not read${notes.mark(`${failed.way}: ${failed.outcome}`)}`
    return good[row.name]?.has_description === false ? 'read with `search`' : 'read'
  }
  const cell = (of: readonly LedgerRow[]): string => join(of, outcome)
  const migrations = [...new Set(rows.map(({ migration }) => migration))]
  const newest = (version: string) => machinesOf(rows, version).at(-1)
  const byMigration = migrations.map((migration) => [
    `\`${migration}\``,
    ...versions.map((version) =>
      cell(
        rows.filter(
          (row) =>
            row.qemu === version && row.migration === migration && row.machine === newest(version),
        ),
      ),
    ),
  ])
  const byMachine = [...new Set(rows.map(({ machine }) => machine))]
    .sort(byVersion)
    .map((machine) => [
      `\`${machine}\``,
      ...versions.map((version) =>
        cell(
          rows.filter(
            (row) => row.qemu === version && row.migration === 'plain' && row.machine === machine,
          ),
        ),
      ),
    ])
  const head = versions.map((version) => `QEMU ${version}`)
  return [
    markdown(['Migration', ...head], byMigration),
    markdown(['Machine', ...head], byMachine),
    notes.list(),
  ]
    .filter((part) => part !== '')
    .join('\n\n')
}

/** One word for hash and radix guests where they agree. */
function join(rows: readonly LedgerRow[], outcome: (row: LedgerRow) => string): string {
  if (rows.length === 0) return ''
  const outcomes = rows.map((row) => [row.mmu, outcome(row)] as const)
  const [first] = outcomes
  if (outcomes.every(([, each]) => each === first?.[1])) return first?.[1] ?? ''
  return outcomes.map(([mmu, each]) => `${mmu}: ${each}`).join('; ')
}

function machinesOf(rows: readonly LedgerRow[], version: string): string[] {
  return [
    ...new Set(rows.filter(({ qemu }) => qemu === version).map(({ machine }) => machine)),
  ].sort(byVersion)
}

/** A QEMU that has ended says why in its last line; its warnings come before. */
function inOneLine(message: string): string {
  const [first = '', ...more] = message.trim().split('\n')
  const hasEnded = /^(.*QEMU ended at [-a-z]+: )/.exec(first)?.[1]
  return hasEnded === undefined ? first : hasEnded + (more.at(-1) ?? first.slice(hasEnded.length))
}

/** Messages below the tables, each of them once. */
class Notes {
  readonly #messages: string[] = []

  mark(message: string): string {
    const line = inOneLine(message)
    const index = this.#messages.indexOf(line)
    if (index >= 0) return ` (${index + 1})`
    return ` (${this.#messages.push(line)})`
  }

  list(): string {
    return this.#messages.map((message, index) => `${index + 1}. ${message}`).join('\n')
  }
}

function markdown(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n')
}
