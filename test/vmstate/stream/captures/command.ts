import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Command } from 'commander'
import { checkFolder } from '../check-folder.ts'
import type { Reading } from '../check-folder.ts'
import { chosenLacks } from './chosen.ts'
import { captureKinds } from './kinds.ts'
import { Ledger } from './ledger.ts'
import { qemuProgram } from './qemu-program.ts'
import { capturesOf, record } from './record.ts'
import { keepInRepository } from './keep.ts'
import { resultsTable } from './results-table.ts'

interface RecordOptions {
  readonly into?: string
  readonly only?: readonly string[]
  readonly keep?: true
}

/** npm run check:streams -- record: migrates guests between two QEMUs, and reads what went over. */
export function recordCommand(): Command {
  return new Command('record')
    .description('migrates guests between two QEMUs of each kind given, and reads what went over')
    .argument(
      '[qemus...]',
      'the path of a qemu-system-ppc64, or the Debian suite to fetch it from, such as sid',
      ['/usr/bin/qemu-system-ppc64'],
    )
    .option('--into <folder>', 'where captures are put; those that are there are not made again')
    .option('--only <migration...>', `of ${captureKinds.map(({ name }) => name).join(', ')}`)
    .option(
      '--keep',
      "puts small ones into this repository's data and the table into docs/formats.md",
    )
    .action(run)
}

async function run(qemus: readonly string[], { into, only, keep }: RecordOptions): Promise<void> {
  if (chosenLacks !== undefined) throw new Error(`recording needs ${chosenLacks}`)
  const ledger = await Ledger.open(into ?? (await mkdtemp(join(tmpdir(), 'captures-'))))
  console.error(`captures are put into ${ledger.folder}`)
  let failures = 0
  for (const path of qemus) {
    const qemu = await qemuProgram(path)
    failures += await record(capturesOf(qemu, only), ledger, (line) => {
      console.error(line)
    })
  }
  const readings: Reading[] = []
  for await (const reading of checkFolder(ledger.folder, ledger)) {
    readings.push(reading)
    if (!reading.ok) console.error(`${reading.stream} (${reading.way}): ${reading.outcome}`)
  }
  const table = resultsTable(ledger, readings)
  console.log(table)
  if (keep) await keepInRepository(ledger, table)
  if (failures > 0 || readings.some(({ ok }) => !ok)) process.exitCode = 1
}
