import { InvalidArgumentError, Option, type Command } from 'commander'
import { cacheRoot } from './cache.ts'
import { exitStatus, Failure } from './failure.ts'
import { kernelNames, type KernelName } from './kernel.ts'
import { cpus, machineNames, type Cpu, type MachineName } from './machine.ts'
import { mirrorAddress, mirrorVariable, suiteName, suiteVariable } from './sources.ts'

/** Adds the options of every program that boots an emulated host. */
export interface HostOptions {
  machine: MachineName
  cpu?: Cpu
  kernel: KernelName
  icount?: true
  timeout: number
}

export function addHostOptions(program: Command, timeoutSeconds: number): Command {
  const machine = new Option('--machine <name>', 'the emulated machine: a partition or bare metal')
  const cpu = new Option(
    '--cpu <name>',
    'the processor of pseries (default: "POWER9") or papr (default: "POWER10")',
  )
  const kernel = new Option('--kernel <version>', 'the Linux that it runs')
  return program
    .addOption(machine.choices(machineNames).default('pseries'))
    .addOption(cpu.choices(cpus))
    .addOption(kernel.choices(kernelNames).default('6.12'))
    .option('--icount', 'one processor, whose clock counts its instructions: 1 ns each')
    .addOption(timeoutOption(timeoutSeconds))
    .addOption(suiteOption())
    .addOption(mirrorOption())
}

/**
 * The options for everything that a program fetches. They are passed on in environment variables, which
 * sources.ts reads.
 */
export function suiteOption(): Option {
  return new Option('--suite <name>', 'the Debian suite that the host is made from')
    .env(suiteVariable)
    .argParser((text) => (process.env[suiteVariable] = checked(suiteName, text)))
}

export function mirrorOption(): Option {
  return new Option('--mirror <address>', 'where Debian is fetched from')
    .env(mirrorVariable)
    .argParser((text) => (process.env[mirrorVariable] = checked(mirrorAddress, text)))
}

function checked(check: (text: string) => string, text: string): string {
  try {
    return check(text)
  } catch (error) {
    throw error instanceof Failure ? new InvalidArgumentError(error.message) : error
  }
}

export function timeoutOption(timeoutSeconds: number): Option {
  return new Option('--timeout <seconds>', 'give up so long after the start of QEMU')
    .argParser(seconds)
    .default(timeoutSeconds)
}

export function seconds(text: string): number {
  const value = Number(text)
  if (!(value > 0 && value < 1e6)) throw new InvalidArgumentError('It is a number of seconds.')
  return value
}

/** The part of the help that is the same in all programs. */
export const machinesHelp = `
Machines and kernels:
  QEMU emulates them without any help of this machine's processor. pseries and papr are logical
  partitions, in which QEMU plays the hypervisor below KVM: in pseries by the interface of a KVM host
  ("nested v1"), with POWER9 or POWER10; in papr by that of PowerVM ("nested v2"), with POWER10 or
  POWER11. powernv8, powernv9 and powernv10 are bare metal with a processor of that name. The kernels
  are Debian's for ppc64el: 6.1, 6.12, and 7.2 with pages of 4 KiB or 64 KiB. These two names stand
  for 7.2 or whatever later version Debian has when they are first fetched; the version that boots is
  shown.
  papr needs QEMU 9.1, which is fetched if this machine's is older, and Linux 6.7. It always counts
  instructions, as with --icount.

Where they come from:
  Each part of the host has a list of Debian suites. The first is taken whose list of packages is whole
  on the mirror and which has the part in a fitting version; a line says which, and why not those
  before it. --suite takes Node and the host's other programs from that suite only, and the kernel
  too if it is one of those that have it. The mirror is that of this system's own apt. Where that has
  none, as on Ubuntu, name one by --mirror, and install the package debian-archive-keyring. What was
  fetched from one suite or chosen mirror is not used for another.`

export const cacheHelp = `
What is cached:
  Everything but this project's own files lies under ${cacheRoot()}.
  The first run downloads about 120 MB of Debian packages, by the system's own apt, but into that
  folder: no package is installed; each other kernel is 50 to 90 MB more. If this machine has no
  QEMU for POWER, or papr is asked for and it is too old, one is fetched too, 35 MB. Later runs need no network. To fetch newer packages,
  or to be rid of it all, remove the folder.`

/** The help for the exit status, with the program's own statuses. */
export function exitStatusHelp(own: string): string {
  return `
Exit status:
  ${own}, else
  ${exitStatus.usage}    wrong usage, or a program is missing on this machine
  ${exitStatus.timedOut}  the time was up
  ${exitStatus.hostFailed}  the host could not be prepared, did not boot, or died
  128+n  ended by signal n`
}
