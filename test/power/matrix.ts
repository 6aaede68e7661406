import { Command } from 'commander'
import {
  allMachines,
  allPrograms,
  cacheHelp,
  exitStatusHelp,
  Failure,
  interrupted,
  kernelNames,
  machinesHelp,
  note,
  requirePrograms,
  seconds,
  timeoutOption,
} from 'power-host'
import { timeForOneMore } from './budget.ts'
import { allCombinations, type Combination } from './combinations.ts'
import { conformance, runSuite, type SuiteEnded, type SuiteRun } from './suite.ts'
import { outcomeTable, type Outcome } from './table.ts'

interface Options {
  timeout: number
  budget?: number
  conformance?: true
}

const description =
  "Runs this project's tests on every emulated POWER host, one after the other, and shows in a " +
  'table how each machine and each kernel did.'

const more = `
Examples:
  npm run power -- test-all
  npm run power -- test-all --conformance --budget 1200
  npm run power -- test-all test/kvm/host.test.ts
${machinesHelp}
${cacheHelp}
${exitStatusHelp('0 if all that ran passed, 1 if anything failed')}`

export const testAll = new Command('test-all')
  .summary('run them on every machine with every kernel')
  .description(description)
  .argument('[arguments...]', 'names of test files or parts of them, and options of Vitest')
  .option('--conformance', 'only the tests of what every kernel does')
  .option(
    '--budget <seconds>',
    'begin no run that would end later; what was not run is named',
    seconds,
  )
  .addOption(timeoutOption(900))
  .addHelpText('after', more)
  .passThroughOptions()
  .action(async (args: string[], options: Options) => {
    requirePrograms(allPrograms)
    const outcomes = new Map<Combination, Outcome>()
    const all = allCombinations()
    try {
      await runAll(all, options.conformance ? [conformance, ...args] : args, options, outcomes)
    } finally {
      process.stdout.write(`\n${report(all, outcomes)}`)
    }
    process.exitCode = [...outcomes.values()].every(({ status }) => status === 0) ? 0 : 1
  })

async function runAll(
  all: readonly Combination[],
  args: readonly string[],
  options: Options,
  outcomes: Map<Combination, Outcome>,
): Promise<void> {
  for (const combination of all) {
    const taken = Array.from(outcomes.values(), ({ seconds }) => seconds)
    if (!timeForOneMore(options.budget ?? Infinity, taken)) return
    const { machine, kernel } = combination
    note(`${outcomes.size + 1} of ${all.length}: ${machine.title} with Linux ${kernel}`)
    const began = performance.now()
    const end = await endOf({ machine, kernel, args, timeoutSeconds: options.timeout })
    outcomes.set(combination, { ...end, seconds: (performance.now() - began) / 1000 })
  }
}

/** One host that fails says nothing about the next. */
async function endOf(suite: SuiteRun): Promise<SuiteEnded> {
  try {
    return await runSuite(suite)
  } catch (error) {
    interrupted.throwIfAborted()
    if (!(error instanceof Failure)) throw error
    note(error.message)
    return { status: error.status, result: undefined }
  }
}

function report(all: readonly Combination[], outcomes: Map<Combination, Outcome>): string {
  const outcomeOf = (row: string, column: string): Outcome | undefined => {
    const combination = all.find(
      ({ machine, kernel }) => machine.title === row && kernel === column,
    )
    return combination && outcomes.get(combination)
  }
  const rows = allMachines().map(({ title }) => title)
  const table = outcomeTable(rows, kernelNames, outcomeOf)
  const left = all.filter((combination) => !outcomes.has(combination))
  if (left.length === 0) return table
  const list = left.map(({ machine, kernel }) => `  ${machine.title} with Linux ${kernel}\n`)
  return `${table}\nNot run, ${left.length} of ${all.length}:\n${list.join('')}`
}
