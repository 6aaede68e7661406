// Changes the core in one place at a time (a mutant), and looks whether a test sees it. Each file has
// its own run of Stryker, whose results stay in coverage/mutation: a run after an interruption, or
// after a change, does what is left to do.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { mutatedFiles } from './files.ts'
import { report } from './report.ts'
import type { Mutated } from './report.ts'

const KEPT = 'coverage/mutation'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { concurrency: { type: 'string', default: '1' } },
})

const files = positionals.length > 0 ? positionals : mutatedFiles
const unknown = files.filter((file) => !mutatedFiles.includes(file) || !existsSync(file))
if (unknown.length > 0) {
  console.error(
    `Not there, or not in test/mutation/files.ts: ${unknown.join(', ')}. It has\n  ` +
      mutatedFiles.join('\n  '),
  )
  process.exit(2)
}

mkdirSync(KEPT, { recursive: true })
process.exitCode = report(files.map(mutate)) ? 0 : 1

function mutate(file: string): Mutated {
  console.log(`\n${file}`)
  const results = path.join(KEPT, `${file.replaceAll('/', '+')}.json`)
  const { status } = spawnSync(
    process.execPath,
    [
      ...['node_modules/@stryker-mutator/core/bin/stryker.js', 'run', 'test/mutation/stryker.json'],
      ...['--mutate', file, '--incrementalFile', results, '--concurrency', values.concurrency],
    ],
    // vitest.config.ts chooses the tests by it.
    { stdio: 'inherit', env: { ...process.env, KVM_PPC_MUTATED: file } },
  )
  if (status !== 0) process.exit(1)
  const { files } = JSON.parse(readFileSync(results, 'utf8')) as {
    files: Partial<Record<string, Mutated>>
  }
  // A file of types alone has no mutants, and Stryker's report does not name it.
  return { source: '', mutants: [], ...files[file], file }
}
