import { Command } from 'commander'
import { withTemporary } from '../../power-host/lib/cache.ts'
import { runOnHost } from '../../power-host/lib/host.ts'
import { machine } from '../../power-host/lib/machine.ts'
import {
  addHostOptions,
  cacheHelp,
  exitStatusHelp,
  machinesHelp,
  type HostOptions,
} from '../../power-host/lib/options.ts'
import { packageArchive } from './package-archive.ts'
import { runProgram } from '../../power-host/lib/program.ts'
import {
  allPrograms,
  prebuildPrograms,
  requirePrograms,
} from '../../power-host/lib/requirements.ts'

const description =
  'Packs the package, installs it in an empty project on emulated POWER hosts, with the oldest Node ' +
  'that it is for and with the newest of Debian, and runs what a newcomer would.'

const more = `
What is run:
  Two hosts, one after the other: one with trixie's Node 20 and one with sid's. On each, npm installs the
  tarball with scripts off and without a network; then the README's example moves a timebase on
  real KVM. The program is install.ts in test/power/package.
${machinesHelp}
  But for the second host's, which are sid's: 38 MB more.
${cacheHelp}
${exitStatusHelp('0 if all of it works, 1 if something does not')}`

const program = addHostOptions(new Command('npm run power:package --'), 300)
  .description(description)
  .addHelpText('after', more)
  .action(async ({ machine: name, cpu, icount, kernel, timeout }: HostOptions) => {
    const chosen = machine(name, cpu, icount)
    requirePrograms([...allPrograms, ...prebuildPrograms])
    process.exitCode = await withTemporary(async (directory) => {
      const { archive, command } = await packageArchive(directory)
      for (const userland of ['forky', 'sid'] as const) {
        const { status } = await runOnHost({
          machine: chosen,
          kernel,
          userland,
          extent: { archive },
          command,
          timeoutSeconds: timeout,
        })
        if (status !== 0) return status
      }
      return 0
    })
  })

await runProgram(program)
