import { Command, InvalidArgumentError, Option } from 'commander'
import { folderArchives, FOLDER_ON_HOST } from './folder.ts'
import { DEFAULT_MEMORY, runOnHost } from './host.ts'
import { kernel, kernelNames } from './kernel.ts'
import { typedOn } from './keyboard.ts'
import { allMachines, cpus, machine, machineNames } from './machine.ts'
import {
  addHostOptions,
  cacheHelp,
  exitStatusHelp,
  machinesHelp,
  type HostOptions,
} from './options.ts'
import { withTemporary } from './cache.ts'
import { qemu } from './qemu.ts'
import { hostPrograms, requirePrograms } from './requirements.ts'
import { userlandArchive } from './userland.ts'

interface Options extends HostOptions {
  shell?: true
  list?: true
  out?: string
  with: string[]
  memory: string
}

interface PrepareOptions extends Pick<HostOptions, 'machine' | 'kernel'> {
  all?: true
}

const description =
  'Runs a command on an emulated POWER host with real KVM: a QEMU machine whose Linux offers ' +
  '/dev/kvm. It is run in a copy of the folder that you are in, with its npm dependencies for ppc64. ' +
  "The command's output and exit status become those of this program."

export const examples = [
  ['power-host -- npx vitest run', 'the tests of a project, there'],
  ['power-host --out results -- sh -c "dmesg > $OUT/dmesg"', 'and a file of theirs, here'],
  [
    'power-host --machine powernv9 --kernel 7.2 -- ./a.out',
    'a cross-compiled program, on bare metal',
  ],
  ['power-host --shell', 'a shell there'],
  ['power-host prepare', 'fetches what a run needs, for later without a network'],
] as const

const more = `
Examples:
${examples.map(([command, what]) => `  ${command}\n      ${what}`).join('\n')}

What is there:
  The files of this folder that git tracks or would add, or all of them outside git, but for
  node_modules; --with adds ignored ones. With a package.json also npm, and the dependencies as npm
  installs them for ppc64, without install scripts: what has no binary for it is named. Besides Node,
  busybox and strace. The command runs as root in ${FOLDER_ON_HOST}, with nothing on its standard input.
  Only what it writes to the folder $OUT comes back, and only with --out.
${machinesHelp}
${cacheHelp}
${exitStatusHelp('that of the command')}`

/** A day, since a shell waits for input. */
const SHELL_SECONDS = 86_400

export function createProgram(): Command {
  const program = addHostOptions(new Command('power-host'), 900)
  return program
    .usage('[options] [--] <command> [arguments...]\n       power-host prepare [options]')
    .description(description)
    .argument('[command...]', 'a program there, and its arguments')
    .option('--out <folder>', 'bring back what the command writes to the folder $OUT')
    .option('--with <path>', 'take this along too, though git ignores it; may be repeated', add, [])
    .addOption(memoryOption())
    .option('--shell', 'open a shell there instead; Ctrl-] ends the host at once')
    .option('--list', 'print which machines, processors and kernels there are')
    .addHelpText('after', more)
    .passThroughOptions()
    .action(async (command: string[], options: Options) => {
      if (options.list) process.stdout.write(list())
      else if (options.shell) await start(['sh', '-i'], options)
      else if (command.length > 0) await start(command, options)
      else program.error("error: no command is given; try 'power-host --help'")
    })
}

/** The command `prepare`. It has a program of its own, since in the other any word is a command for the host. */
export function createPrepareProgram(): Command {
  const kernelOption = new Option('--kernel <version>', 'the Linux that is to be there')
  const machineOption = new Option('--machine <name>', 'the machine that is to be emulated')
  return new Command('power-host prepare')
    .description(
      'Fetches what a run needs into the cache, so that later runs need no network: QEMU where this ' +
        'machine has none or one that is too old, the userland, a kernel, and the npm dependencies of ' +
        'the folder that you are in.',
    )
    .addOption(kernelOption.choices(kernelNames).default('6.12'))
    .addOption(machineOption.choices(machineNames).default('pseries'))
    .option('--all', 'every kernel, and what every machine needs')
    .action(async ({ machine: name, kernel: chosen, all }: PrepareOptions) => {
      requirePrograms(hostPrograms)
      const machines = all ? allMachines() : [machine(name)]
      for (const { leastQemu } of machines) await qemu(leastQemu)
      await userlandArchive()
      for (const name of all ? kernelNames : [chosen]) await kernel(name)
      await withTemporary((directory) => folderArchives(process.cwd(), [], directory))
    })
}

async function start(command: readonly string[], options: Options): Promise<void> {
  const chosen = machine(options.machine, options.cpu, options.icount)
  requirePrograms(hostPrograms)
  const folder = process.cwd()
  const { out, kernel, memory, timeout } = options
  const job = {
    ...{ machine: chosen, kernel, memory, command, directory: FOLDER_ON_HOST },
    archives: (into: string) => folderArchives(folder, options.with, into),
    timeoutSeconds: timeout,
    ...(out === undefined ? {} : { out }),
  }
  const { status } = options.shell
    ? await typedOn((keyboard, giveUp) =>
        runOnHost({ ...job, timeoutSeconds: SHELL_SECONDS, keyboard, giveUp }),
      )
    : await runOnHost(job)
  process.exitCode = status
}

function list(): string {
  const rows = [
    ['--machine', ...machineNames],
    ['--cpu', ...cpus],
    ['--kernel', ...kernelNames],
  ].map(([option = '', ...names]) => `${option.padEnd(10)} ${names.join('  ')}\n`)
  const titles = allMachines().map(({ title }) => `  ${title}\n`)
  return `${rows.join('')}\nAs machines with their processors:\n${titles.join('')}`
}

function memoryOption(): Option {
  return new Option('--memory <size>', 'how much memory the host has')
    .argParser((text) => {
      if (/^\d+[MG]$/.test(text)) return text
      throw new InvalidArgumentError('It is a number with M or G, such as 3G.')
    })
    .default(DEFAULT_MEMORY)
}

function add(path: string, others: string[]): string[] {
  return [...others, path]
}
