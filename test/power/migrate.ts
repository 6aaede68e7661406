import { writeFile } from 'node:fs/promises'
import { Command, Option } from 'commander'
import {
  addHostOptions,
  allPrograms,
  cacheHelp,
  type Cpu,
  cpus,
  exitStatus,
  exitStatusHelp,
  Failure,
  type HostOptions,
  inRealTime,
  type Job,
  type KernelName,
  kernelNames,
  type Machine,
  machine,
  type MachineName,
  machineNames,
  machinesHelp,
  requirePrograms,
  runWired,
} from 'power-host'
import { project } from './project.ts'
import type { Recording } from './move/record.ts'

/** By so much the second host's timebase is behind the first one's. */
const APART_MS = 3000

const description =
  'Moves a guest that watches its own timebase from one emulated POWER host to another and back, ' +
  'over a serial wire, and shows what happens and what the guest has seen.'

const more = `
What is run:
  Two hosts, started ${APART_MS / 1000} s apart, so that their timebases differ. The guest has four vCPUs, each
  of which reads its timebase in a tight loop. It is moved to the second host and back three times:
  with the second host's wall clock right, 5 s ahead, and 30 s behind. Its registers and its timebase
  go as the text of serializeOneRegState(); pc, msr, the general registers and the memory are moved
  by the test. The programs are first.ts and second.ts in test/power/move.
  The second host is like the first one, unless --to, --to-cpu or --to-kernel name another; the processor
  has to be the same, since one host could not hold the other's registers otherwise. Both are in
  real time, papr too, since the guest's time goes on by the hosts' wall clocks; where one of them is papr,
  the guest leaves KVM_RUN every 2^14 readings.

Examples:
  npm run power -- migrate
  npm run power -- migrate --machine papr --to powernv10 --once
${machinesHelp}
${cacheHelp}
${exitStatusHelp('0 if the guest saw nothing that it should not, 1 if it did')}`

interface Options extends HostOptions {
  json?: string
  to?: MachineName
  toCpu?: Cpu
  toKernel?: KernelName
  once?: true
}

export const migrate = addHostOptions(new Command('migrate'), 300)
  .summary('move a guest from one host to another and back, and show what it sees')
  .description(description)
  .addOption(
    new Option('--to <name>', "the second host's machine, if it is another").choices(machineNames),
  )
  .addOption(new Option('--to-cpu <name>', 'the processor of that partition').choices(cpus))
  .addOption(
    new Option('--to-kernel <version>', 'the Linux that the second host runs').choices(kernelNames),
  )
  .option('--once', 'move it there and back only once, with the second host’s wall clock right')
  .option(
    '--json <file>',
    'move it six times more, also as QEMU would, and write down what it read; npm run docs -- picture draws that',
  )
  .addHelpText('after', more)
  .action(async (options: Options) => {
    const [first, second] = hosts(options)
    requirePrograms(allPrograms)
    const leaving = [first, second].some(({ counts }) => counts === true) ? ['--leaving'] : []
    const record = options.json === undefined ? [] : ['--record']
    const once = options.once === true ? ['--once'] : []
    const job = (host: Machine, kernel: KernelName, program: string, args: string[]): Job => ({
      ...{ machine: inRealTime(host), kernel, timeoutSeconds: options.timeout },
      ...project('move'),
      command: ['node', `test/power/move/${program}`, ...leaving, ...args],
    })
    const { kernel, toKernel = kernel, json } = options
    const jobs = [
      job(first, kernel, 'first.js', [...once, ...record]),
      job(second, toKernel, 'second.js', []),
    ] as const
    const [ended] = await runWired(...jobs, APART_MS)
    if (ended === undefined) {
      throw new Failure('second.ts failed, so that the guest could not go on: see its output above')
    }
    const { status, result } = ended
    if (json !== undefined && result !== undefined) await writeRecording(json, first, result)
    process.exitCode = status
  })

/**
 * The two machines.
 *
 * @throws Failure if their processors differ, since one then has registers that the other cannot hold
 */
function hosts({ machine: name, cpu, icount, to = name, toCpu }: Options): [Machine, Machine] {
  const first = machine(name, cpu, icount)
  const second = machine(to, toCpu ?? (to === name ? cpu : undefined), icount)
  if (processorOf(first) !== processorOf(second)) {
    const both = `the hosts are ${first.title} and ${second.title}`
    throw new Failure(`${both}: choose the same processor, by --cpu or --to-cpu`, exitStatus.usage)
  }
  return [first, second]
}

function processorOf({ args }: Machine): string | undefined {
  return args[args.indexOf('-cpu') + 1]
}

async function writeRecording(file: string, { title }: Machine, result: string): Promise<void> {
  const recording = { machine: title, ...(JSON.parse(result) as Recording) }
  await writeFile(file, `${JSON.stringify(recording, null, 2)}\n`)
}
