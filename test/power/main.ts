import { randomBytes } from 'node:crypto'
import path from 'node:path'
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander'
import { boot } from './boot.ts'
import { cacheRoot, withTemporary } from './cache.ts'
import { commandArchive } from './command.ts'
import { exitStatus, Failure } from './failure.ts'
import { joinArchives } from './image.ts'
import { watchForInterrupts } from './interrupt.ts'
import { kernel, trixieKernel } from './kernel.ts'
import { cpus, pseries, qemuArguments, type Cpu } from './machine.ts'
import { kvmHeader } from './packages.ts'
import { beginStage, endLine } from './progress.ts'
import { projectArchives } from './project.ts'
import { allPrograms, requirePrograms } from './requirements.ts'
import { userlandArchive } from './userland.ts'

interface Options {
  cpu: Cpu
  timeout: number
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
  npm run power -- --exec node -e "console.log(process.arch)"
  npm run power -- --exec busybox sh -c "ls -l /dev/kvm"
With "npm run --silent power", npm prints no lines of its own.

What is run:
  QEMU's pseries machine, emulated without any help of this machine's processor, with the kernel,
  Node and busybox of Debian trixie for ppc64el. The project is in it as it is in the tree at that
  moment: dist/ (built if lib/ is newer), the dependencies and the addon, cross-built. The command
  runs as root in the project's folder, with nothing on its standard input, and sees TERM, COLUMNS,
  NO_COLOR, FORCE_COLOR and what begins with KVM_PPC_ of the environment here.

What is cached:
  Everything but dist/ lies under ${cacheRoot()},
  some 200 MB. The first run downloads about 120 MB of Debian packages, by the system's own apt and
  from its mirror, but into that folder: no package is installed. Later runs need no network. To
  fetch newer packages, or to be rid of it all, remove the folder.

Exit status:
  that of the command, else
  ${exitStatus.usage}    wrong usage, or a program is missing on this machine
  ${exitStatus.timedOut}  the time was up
  ${exitStatus.hostFailed}  the host could not be prepared, did not boot, or died
  128+n  ended by signal n`

const program = new Command('npm run power --')
  .description(description)
  .argument('[command...]', "a command of this project's command line, and its arguments")
  .addOption(new Option('--cpu <name>', 'the emulated processor').choices(cpus).default('POWER9'))
  .option('--timeout <seconds>', 'give up so long after the start of QEMU', seconds, 300)
  .option('--exec', 'take the command as a program on that host instead')
  .option('--header', "only print the path of a POWER asm/kvm.h, out of Debian's linux-libc-dev")
  .addHelpText('after', more)
  .passThroughOptions()
  .exitOverride()
  .action(async (command: string[], options: Options) => {
    if (options.header) {
      requirePrograms(['dpkg-deb', 'xz', 'flock'])
      process.stdout.write(`${await kvmHeader()}\n`)
    } else if (command.length === 0) {
      program.error("error: no command is given; try 'npm run power -- --help'")
    } else {
      requirePrograms(allPrograms)
      process.exitCode = await power(command, options)
    }
  })

async function power(command: string[], options: Options): Promise<number> {
  const userland = await userlandArchive()
  const { release, image, modules } = await kernel(trixieKernel)
  return withTemporary(async (directory) => {
    const token = randomBytes(8).toString('hex')
    const words = options.exec ? command : ['node', 'dist/cli/main.js', ...command]
    const initrd = path.join(directory, 'initrd')
    await joinArchives(
      [
        userland,
        modules,
        ...(await projectArchives(directory)),
        await commandArchive(words, token, directory),
      ],
      initrd,
    )
    const onBegin = beginStage(`booting a ${options.cpu} host with Linux ${release}`)
    const args = qemuArguments(pseries(options.cpu), image, initrd)
    return boot({ args, token, timeoutSeconds: options.timeout, onBegin })
  })
}

function seconds(text: string): number {
  const value = Number(text)
  if (!(value > 0 && value < 1e6)) throw new InvalidArgumentError('It is a number of seconds.')
  return value
}

watchForInterrupts()
try {
  await program.parseAsync()
} catch (error) {
  endLine()
  if (error instanceof CommanderError) {
    // Commander has said it already.
    process.exitCode = error.exitCode === 0 ? 0 : exitStatus.usage
  } else {
    const { message, status } = error instanceof Failure ? error : new Failure(explain(error))
    process.stderr.write(`power: ${message}\n`)
    process.exitCode = status
  }
}

/** A full disk explains itself, a mistake of ours needs its stack. */
function explain(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return ('syscall' in error ? error.message : error.stack) ?? error.message
}
