import { join } from 'node:path'
import { Command } from 'commander'
import { table } from '../../../lib/cli/print.ts'
import { recordCommand } from './captures/command.ts'
import { checkFolder } from './check-folder.ts'
import type { Reading } from './check-folder.ts'
import { readExpected } from './expected.ts'
import { fuzzCommand } from './fuzz-command.ts'

/** npm run check:streams: reads streams in each way, and compares with what is known of them. */

const data = join(import.meta.dirname, 'data')
const OWN_FOLDERS = [data, join(data, 'captures')]

const program = new Command('npm run check:streams --').description(
  "reads QEMU's migration streams in each way, and records new ones",
)

program
  .command('check', { isDefault: true })
  .description('reads every stream of folders and compares with their expected.json')
  .argument('[folders...]', 'such as test/vmstate/stream/data', OWN_FOLDERS)
  .action(async (folders: readonly string[]) => {
    const readings: Reading[] = []
    for (const folder of folders) {
      for await (const reading of checkFolder(folder, await readExpected(folder))) {
        readings.push(reading)
      }
    }
    console.log(table(readings.map(row)))
    const failed = readings.filter(({ ok }) => !ok).length
    const rss = process.resourceUsage().maxRSS / 1024
    const slowest = Math.max(...readings.map(({ ms }) => ms))
    console.log(
      `\n${readings.length} readings, ${failed} not as expected; ${rss.toFixed(0)} MiB and ${slowest.toFixed(0)} ms at most`,
    )
    if (failed > 0) process.exitCode = 1
  })

program.addCommand(recordCommand())
program.addCommand(fuzzCommand())

await program.parseAsync()

function row({ ok, stream, way, ms, outcome }: Reading): string[] {
  return [ok ? 'ok' : 'NO', `${stream} (${way})`, `${ms.toFixed(0)} ms`, outcome]
}
