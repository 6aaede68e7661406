// Compares lib/registers.ts with a kernel header: npm run check -- registers <path to asm/kvm.h>

import { readFileSync, realpathSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { registers } from '../lib/registers.ts'
import { compareRegisters, parseHeader, widthOf } from './kvm-header.ts'
import type { HeaderRegisters, RegisterTable } from './kvm-header.ts'

const usage = `Usage: npm run check -- registers <path to asm/kvm.h>

Compares the table in lib/registers.ts with the KVM_REG_PPC_ registers of a kernel header,
for example /usr/powerpc64le-linux-gnu/include/asm/kvm.h
(apt-get install linux-libc-dev-ppc64el-cross).

  missing    in the header, not in the table
  different  in both, with another id or width
  extra      in the table, not in the header: an older header

Exit status: 0 if nothing is missing or different, 1 if something is, 2 if there was nothing to
compare with.`

/** Runs the command with these arguments and returns its exit status. */
export function main(args: string[], table: RegisterTable = registers): number {
  let path: string | undefined
  try {
    const { values, positionals } = parseArgs({
      args,
      allowPositionals: true,
      options: { help: { type: 'boolean', short: 'h' } },
    })
    if (values.help) {
      console.log(usage)
      return 0
    }
    if (positionals.length === 1) path = positionals[0]
  } catch (error) {
    console.error(messageOf(error))
  }
  if (path === undefined) {
    console.error(usage)
    return 2
  }
  let header: HeaderRegisters
  try {
    header = parseHeader(readFileSync(path, 'utf8'))
  } catch (error) {
    console.error(`${path}: ${messageOf(error)}`)
    return 2
  }
  return report(header, table)
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

function report(header: HeaderRegisters, table: RegisterTable): number {
  const { missing, different, extra } = compareRegisters(header, table)
  const rows = [
    ...missing.map(({ name, id }) => ['missing', name, describe(id)] as const),
    ...different.map(
      ({ name, id, tableId, tableWidth }) =>
        [
          'different',
          name,
          `${describe(id)}, in the table ${describe(tableId, tableWidth)}`,
        ] as const,
    ),
    ...extra.map(({ name, id }) => ['extra', name, describe(id)] as const),
  ]
  const nameWidth = Math.max(...rows.map(([, name]) => name.length))
  for (const [kind, name, text] of rows) {
    console.log(`${kind.padEnd('different'.length)}  ${name.padEnd(nameWidth)}  ${text}`)
  }
  console.log(
    `${header.size} registers in the header, ${Object.keys(table).length} in the table: ` +
      `${missing.length} missing, ${different.length} different, ${extra.length} extra`,
  )
  return missing.length + different.length === 0 ? 0 : 1
}

function describe(id: bigint, width = widthOf(id)): string {
  return `0x${id.toString(16).padStart(16, '0')} ${`${width}`.padStart(3)} bits`
}

if (process.argv[1] !== undefined && realpathSync(process.argv[1]) === import.meta.filename) {
  process.exitCode = main(process.argv.slice(2))
}
