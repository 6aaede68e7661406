import { Command } from 'commander'
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

const description =
  'Has a QEMU save a guest that it runs by KVM on an emulated POWER host, loads the timebase in the ' +
  'stream onto new vCPUs there, and shows what happens and what the guest has seen.'

const more = `
What is run:
  Debian's QEMU for ppc64el, on the emulated host and with its KVM. Its guest prints every timebase that
  it reads. It is saved twice: while it runs, and stopped after it was stopped and continued three
  times. Each stream's timebase is loaded onto a vCPU that reads its own. The program is load.ts in
  test/power/qemu.
${machinesHelp}
${cacheHelp}
  QEMU and what it needs is 35 MB more.
${exitStatusHelp('0 if each time is what it must be, 1 if one is not')}`

export const qemu = addHostOptions(new Command('qemu'), 300)
  .summary('load the timebase of a guest that QEMU has saved there')
  .description(description)
  .addHelpText('after', more)
  .action(async ({ machine: name, cpu, icount, kernel, timeout }: HostOptions) => {
    const chosen = machine(name, cpu, icount)
    requirePrograms(allPrograms)
    const { status } = await runOnHost({
      machine: chosen,
      kernel,
      ...project('qemu'),
      command: ['node', 'test/power/qemu/load.js'],
      timeoutSeconds: timeout,
    })
    process.exitCode = status
  })
