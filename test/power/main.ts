import { Command } from 'commander'
import { runOnHost } from '../../power-host/lib/host.ts'
import { machine } from '../../power-host/lib/machine.ts'
import {
  addHostOptions,
  cacheHelp,
  exitStatusHelp,
  machinesHelp,
  type HostOptions,
} from '../../power-host/lib/options.ts'
import { kvmHeader } from '../../power-host/lib/header.ts'
import { runProgram } from '../../power-host/lib/program.ts'
import { allPrograms, requirePrograms } from '../../power-host/lib/requirements.ts'

interface Options extends HostOptions {
  exec?: true
  header?: true
}

const description =
  'Runs a command of this project on an emulated POWER host with real KVM: a QEMU machine whose ' +
  "Linux offers /dev/kvm. The command's output and exit status become those of this program."

const more = `
Examples:
  npm run power -- demo
  npm run power -- registers --probe --json
  npm run power -- --cpu POWER10 info
  npm run power -- --machine powernv9 --kernel 7.2-64k info
  npm run power -- --exec node -e "console.log(process.arch)"
  npm run power -- --exec busybox sh -c "ls -l /dev/kvm"
With "npm run --silent power", npm prints no lines of its own.

What is run:
  The command, on the project as it is in the tree at that moment: dist/ (built if lib/ is newer),
  the dependencies and the addon, cross-built. It runs as root in the project's folder, with nothing
  on its standard input, and sees TERM, COLUMNS, NO_COLOR, FORCE_COLOR and what begins with KVM_PPC_
  of the environment here.
${machinesHelp}
${cacheHelp}
${exitStatusHelp('that of the command')}`

const program = addHostOptions(new Command('npm run power --'), 300)
  .description(description)
  .argument('[command...]', "a command of this project's command line, and its arguments")
  .option('--exec', 'take the command as a program on that host instead')
  .option('--header', "only print the path of a POWER asm/kvm.h, out of Debian's linux-libc-dev")
  .addHelpText('after', more)
  .passThroughOptions()
  .action(async (command: string[], options: Options) => {
    if (options.header) {
      requirePrograms(['dpkg-deb', 'flock'])
      process.stdout.write(`${await kvmHeader()}\n`)
    } else if (command.length === 0) {
      program.error("error: no command is given; try 'npm run power -- --help'")
    } else {
      process.exitCode = await power(command, options)
    }
  })

async function power(command: string[], options: Options): Promise<number> {
  const chosen = machine(options.machine, options.cpu, options.icount)
  requirePrograms(allPrograms)
  const { status } = await runOnHost({
    machine: chosen,
    kernel: options.kernel,
    extent: 'command',
    command: options.exec ? command : ['node', 'dist/cli/main.js', ...command],
    timeoutSeconds: options.timeout,
  })
  return status
}

await runProgram(program)
