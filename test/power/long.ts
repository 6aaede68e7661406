import { Command, InvalidArgumentError, Option } from 'commander'
import {
  addHostOptions,
  allPrograms,
  cacheHelp,
  exitStatusHelp,
  type HostOptions,
  machine,
  machinesHelp,
  requirePrograms,
  runOnHost,
} from 'power-host'
import { project } from './project.ts'

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

export const long = addHostOptions(new Command('long'), 0)
  .summary('let many things happen to a guest, for as long as is asked for')
  .description(description)
  .addOption(new Option('--minutes <number>', 'how long').argParser(minutes).default(60))
  .addOption(
    new Option('--seed <number>', 'for the same choices again')
      .argParser(seed)
      .default(Date.now() % 1_000_000, 'another one each time'),
  )
  .addHelpText('after', more)
  .action(async (options: Options) => {
    const chosen = machine(options.machine, options.cpu, options.icount)
    requirePrograms(allPrograms)
    const { status } = await runOnHost({
      machine: chosen,
      kernel: options.kernel,
      ...project('suite'),
      command: [
        ...['node', '--import', 'tsx', '--expose-gc'],
        ...['test/power/long/run.ts', String(options.minutes), String(options.seed)],
      ],
      timeoutSeconds: options.timeout || options.minutes * 60 + BESIDE_SECONDS,
    })
    process.exitCode = status
  })

function minutes(text: string): number {
  const value = Number(text)
  if (!(value > 0 && value < 1e5)) throw new InvalidArgumentError('It is a number of minutes.')
  return value
}

function seed(text: string): number {
  if (!/^\d{1,15}$/.test(text)) throw new InvalidArgumentError('It is a whole number.')
  return Number(text)
}
