// How much of lib/ and native/ the tests run. What this machine's tests run is recorded in
// coverage/<processor>; the tables are of all such folders that are there, added up.
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { instrumentedCopy } from './copy.ts'
import { COUNTING_ARGUMENTS, COUNTING_FLAGS, COUNTS_OF_LIB } from './counting.ts'
import { Recorded, showRecorded, sourcesNow } from './recorded.ts'

const sources = await sourcesNow()
const copy = instrumentedCopy('coverage', COUNTING_FLAGS)
const status = runSuite()
const recorded = new Recorded(process.arch, sources)
recorded.recordNative(copy)
recorded.recordLib(readFileSync(path.join(copy, COUNTS_OF_LIB), 'utf8'), copy)
process.exitCode = (await showRecorded()) ? status : 1

function runSuite(): number {
  const args = [
    ...['node_modules/vitest/vitest.mjs', 'run', '--typecheck.enabled=false'],
    ...['--testTimeout=60000', ...COUNTING_ARGUMENTS, ...process.argv.slice(2)],
  ]
  return spawnSync(process.execPath, args, { cwd: copy, stdio: 'inherit' }).status ?? 1
}
