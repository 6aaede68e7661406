import { Command, Option } from 'commander'
import { runOnHost } from './host.ts'
import { machine } from './machine.ts'
import {
  addHostOptions,
  cacheHelp,
  exitStatusHelp,
  machinesHelp,
  seconds,
  type HostOptions,
} from './options.ts'
import { runProgram } from './program.ts'
import { allPrograms, requirePrograms } from './requirements.ts'

/** For booting, for what comes before the first sample, and for a machine that is busy. */
const BESIDE_SECONDS = 600

interface Options extends HostOptions {
  minutes: number
  seed: number
}

const description =
  'Lets many things happen to a guest of real KVM that watches its timebase, for as long as is ' +
  'asked for, on an emulated POWER host.'

const more = `
What happens:
  In random order: saves and loads with all options, loads that fail at any of their calls, wall clocks
  that are set, snapshots and restores, calls that wait for running vCPUs, vCPUs that are plugged in,
  moves to another VM of the host. After each the guest runs on, and must not have seen its timebase
  step back; memory, descriptors and threads must not grow. The report is two tables: what happened,
  and how things stood.
${machinesHelp}
${cacheHelp}
${exitStatusHelp('0 if all was well, 1 if not')}`

const program = addHostOptions(new Command('npm run power:long --'), 0)
  .description(description)
  .addOption(new Option('--minutes <number>', 'how long').argParser(seconds).default(60))
  .option('--seed <number>', 'for the same choices again', Number, Date.now() % 1_000_000)
  .addHelpText('after', more)
  .action(async ({ machine: name, cpu, icount, kernel, timeout, minutes, seed }: Options) => {
    const chosen = machine(name, cpu, icount)
    requirePrograms(allPrograms)
    const { status } = await runOnHost({
      machine: chosen,
      kernel,
      extent: 'suite',
      command: [
        ...['node', '--import', 'tsx', '--expose-gc'],
        ...['test/power/long/run.ts', String(minutes), String(seed)],
      ],
      timeoutSeconds: timeout || minutes * 60 + BESIDE_SECONDS,
    })
    process.exitCode = status
  })

await runProgram(program)
