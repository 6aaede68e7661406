import {
  addHostOptions,
  allPrograms,
  exitStatusHelp,
  type HostOptions,
  kvmHeader,
  machine,
  requirePrograms,
  runOnHost,
} from 'power-host'
import { Command } from 'commander'
import { project } from './project.ts'

const TIMEOUT_SECONDS = 300

/** A command of this project's command line, on the emulated host. */
export async function runOurs(
  command: string[],
  options: HostOptions,
  program: Command,
): Promise<void> {
  if (command.length === 0) {
    program.error("error: no command is given; try 'npm run power -- help'")
  }
  await runProject(['node', 'dist/cli/main.js', ...command], options)
}

export const exec = addHostOptions(new Command('exec'), TIMEOUT_SECONDS)
  .summary('run a program on that host: exec node -e "console.log(process.arch)"')
  .description('Runs a program on an emulated POWER host with real KVM, in this project’s folder.')
  .argument('<program...>', 'a program there, such as node or busybox, and its arguments')
  .addHelpText(
    'after',
    `
Examples:
  npm run power -- exec node -e "console.log(process.arch)"
  npm run power -- exec busybox sh -c "ls -l /dev/kvm"
${exitStatusHelp('that of the program')}`,
  )
  .passThroughOptions()
  .action(runProject)

export const header = new Command('header')
  .summary("print the path of a POWER asm/kvm.h, out of Debian's linux-libc-dev")
  .description("Prints the path of the newest POWER asm/kvm.h, out of Debian's linux-libc-dev.")
  .action(async () => {
    requirePrograms(['dpkg-deb', 'flock'])
    process.stdout.write(`${await kvmHeader()}\n`)
  })

async function runProject(command: string[], options: HostOptions): Promise<void> {
  const chosen = machine(options.machine, options.cpu, options.icount)
  requirePrograms(allPrograms)
  const { status } = await runOnHost({
    ...{ machine: chosen, kernel: options.kernel, timeoutSeconds: options.timeout },
    ...project('command'),
    command,
  })
  process.exitCode = status
}
