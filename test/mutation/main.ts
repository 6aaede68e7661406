// Changes the core in one place at a time (a mutant), and looks whether a test sees it. Each file has
// its own run of Stryker, whose results stay in coverage/mutation: a run after an interruption, or
// after a change, does what is left to do.
import { spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { Argument, Command, InvalidArgumentError, Option } from 'commander'
import { mutatedFiles } from './files.ts'
import { report } from './report.ts'
import type { Mutated } from './report.ts'

const KEPT = 'coverage/mutation'

await new Command('npm run test:mutation --')
  .description(
    'Changes the core in one place at a time, and looks whether a test sees it. What was found stays in ' +
      `${KEPT}/, and a later run does the rest. Exit status: 0, or 1 if too little was seen, or ` +
      'test/mutation/unseen.ts does not say why something was not.',
  )
  .addArgument(
    new Argument('[files...]', 'those to change: by default all').choices([...mutatedFiles]),
  )
  .addOption(
    new Option('--concurrency <number>', 'how many tests run at a time')
      .argParser(concurrency)
      .default('1'),
  )
  .action((given: string[], { concurrency }: { concurrency: string }) => {
    const files = given.length > 0 ? given : mutatedFiles
    mkdirSync(KEPT, { recursive: true })
    process.exitCode = report(files.map((file) => mutate(file, concurrency))) ? 0 : 1
  })
  .parseAsync()

function concurrency(text: string): string {
  if (!/^[1-9]\d?$/.test(text)) throw new InvalidArgumentError('It is a number from 1 to 99.')
  return text
}

function mutate(file: string, concurrency: string): Mutated {
  console.log(`\n${file}`)
  const results = path.join(KEPT, `${file.replaceAll('/', '+')}.json`)
  const { status } = spawnSync(
    process.execPath,
    [
      ...['node_modules/@stryker-mutator/core/bin/stryker.js', 'run', 'test/mutation/stryker.json'],
      ...['--mutate', file, '--incrementalFile', results, '--concurrency', concurrency],
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
