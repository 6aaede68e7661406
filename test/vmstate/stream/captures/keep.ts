import { copyFile, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { Ledger } from './ledger.ts'
import type { LedgerRow } from './ledger.ts'
import { byVersion } from './versions.ts'

const project = resolve(import.meta.dirname, '../../../..')
const data = join(project, 'test/vmstate/stream/data/captures')
const page = join(project, 'docs/formats.md')

/** Larger files do not go into the repository: images of RAM, and all of RAM by postcopy. */
const LARGEST = 200 * 1024
const LARGEST_SUM = 4 * 1024 * 1024

/** Of these the connections beside the stream are kept too. */
const WITH_CHANNELS = ['multifd-zstd', 'postcopy-preempt']

/** Puts the small captures that are worth it into the repository, and the table into docs/formats.md. */
export async function keepInRepository(from: Ledger, table: string): Promise<void> {
  await rm(data, { recursive: true, force: true })
  const to = await Ledger.open(data)
  to.rows.push(...from.rows)
  let sum = 0
  for (const row of worthKeeping(from.rows)) {
    const names = [
      row.name,
      ...Object.keys(from.bad).filter(
        (name) => WITH_CHANNELS.includes(row.migration) && name.startsWith(`${row.name}-channel`),
      ),
    ]
    for (const name of names) {
      const file = (from.good[name] ?? from.bad[name])?.file
      if (file === undefined) continue
      const { size } = await stat(join(from.folder, file))
      if (size > LARGEST) continue
      sum += size
      await copyFile(join(from.folder, file), join(data, file))
      Object.assign(to.good, name in from.good ? { [name]: from.good[name] } : {})
      Object.assign(to.bad, name in from.bad ? { [name]: from.bad[name] } : {})
    }
  }
  if (sum > LARGEST_SUM) throw new Error(`the captures have ${sum} bytes, more than ${LARGEST_SUM}`)
  await to.save()
  await writeTable(table)
}

/**
 * Each migration by the newest QEMU that does it, hash and radix in turn, postcopy by all of them, and the oldest
 * machine of each QEMU.
 */
function worthKeeping(rows: readonly LedgerRow[]): LedgerRow[] {
  const recorded = rows
    .filter(({ refusal }) => refusal === undefined)
    .sort((a, b) => byVersion(b.qemu, a.qemu))
  const versions = [...new Set(recorded.map(({ qemu }) => qemu))]
  const kept = new Set<LedgerRow>()
  const keep = (row: LedgerRow | undefined) => {
    if (row !== undefined) kept.add(row)
  }
  const migrations = [...new Set(rows.map(({ migration }) => migration))]
  for (const [index, migration] of migrations.entries()) {
    const those = recorded.filter((row) => row.migration === migration)
    const mmu = index % 2 === 0 ? 'radix' : 'hash'
    keep(those.find((row) => row.mmu === mmu) ?? those[0])
  }
  for (const version of versions) {
    const those = recorded.filter(({ qemu }) => qemu === version)
    keep(those.find(({ migration }) => migration === 'postcopy'))
    keep(those.sort((a, b) => byVersion(a.machine, b.machine))[0])
  }
  return [...kept]
}

const BEGIN = '<!-- captures: npm run check:streams -- record --keep -->'
const END = '<!-- /captures -->'

async function writeTable(table: string): Promise<void> {
  const text = await readFile(page, 'utf8')
  const begin = text.indexOf(BEGIN)
  const end = text.indexOf(END)
  if (begin < 0 || end < begin) throw new Error(`${page} has no place for the table: ${BEGIN}`)
  const whole = `${text.slice(0, begin)}${BEGIN}\n\n${table}\n\n${text.slice(end)}`
  await writeFile(page, whole)
}
