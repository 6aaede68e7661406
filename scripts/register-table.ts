import { registerNames, registers } from '../lib/registers.ts'

interface Row {
  /** The name of the register, or of the first one of a family. */
  readonly name: string
  readonly last?: string
  readonly id: bigint
  readonly width: number
  readonly meaning: string
}

/** The first registers of families, such as FPR0 of FPR0 to FPR31. */
const firstOfFamily = /^(FPR|VR|VSR|TM_GPR|TM_VSR)0$/

/** One row for each register, and one for each family. */
function rows(): Row[] {
  const rows: Row[] = []
  for (const name of registerNames) {
    const row = { name, ...registers[name] }
    const first = rows.at(-1)
    if (first !== undefined && isOneOf(first, row)) rows[rows.length - 1] = { ...first, last: name }
    else rows.push(row)
  }
  return rows
}

function isOneOf(first: Row, { name, id, meaning }: Row): boolean {
  if (!firstOfFamily.test(first.name)) return false
  const number = Number(id - first.id)
  return (
    name === `${first.name.slice(0, -1)}${number}` &&
    meaning === `${first.meaning.slice(0, -1)}${number}`
  )
}

const heading = ['name', 'id', 'bits', 'meaning']

/** All registers as a table in Markdown. */
export function registerTable(): string {
  const cells = rows().map(({ name, last, id, width, meaning }) => [
    last === undefined ? `\`${name}\`` : `\`${name}\` to \`${last}\``,
    last === undefined ? hex(id) : `${hex(id)} on`,
    `${width}`,
    last === undefined ? meaning : meaning.slice(0, -' 0'.length),
  ])
  const widths = heading.map((title, column) =>
    Math.max(title.length, ...cells.map((row) => row[column]?.length ?? 0)),
  )
  const line = (row: readonly string[]): string =>
    `| ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(' | ')} |`
  return [heading, widths.map((width) => '-'.repeat(width)), ...cells].map(line).join('\n')
}

function hex(id: bigint): string {
  return `\`0x${id.toString(16)}\``
}

const MARK = '<!-- registers -->'

/** Replaces the table between the two marks of a text by the one that the code makes now. */
export function withRegisterTable(text: string): string {
  const [before, , after, ...more] = text.split(MARK)
  if (before === undefined || after === undefined || more.length > 0) {
    throw new Error(`the text must have ${MARK} twice`)
  }
  return `${before}${MARK}\n\n${registerTable()}\n\n${MARK}${after}`
}
