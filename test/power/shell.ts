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
  typedOn,
} from 'power-host'
import { project } from './project.ts'

const A_DAY = 86_400

const description =
  'Opens a shell on an emulated POWER host with real KVM, as root, in this project’s folder.'

const more = `
Examples:
  npm run power -- shell
  npm run power -- shell --machine powernv9 --kernel 7.2
  echo "kvm-ppc-onereg info; dmesg | tail -n 3" | npm run --silent power -- shell

What is there:
  Node, busybox, kvm-ppc-onereg, and the whole project with its tests and what they need, as it is in the
  tree at that moment: node_modules/.bin/vitest run test/kvm/snapshot.test.ts. Nothing that is written there
  stays. The shell ends with "exit" or Ctrl-D, and the host with it; Ctrl-] ends the host at once. Where
  standard input is a pipe, its lines are typed.
${machinesHelp}
${cacheHelp}
${exitStatusHelp('that of the shell')}`

export const shell = addHostOptions(new Command('shell'), A_DAY)
  .summary('open a shell there')
  .description(description)
  .addHelpText('after', more)
  .action(async ({ machine: name, cpu, icount, kernel, timeout }: HostOptions) => {
    const chosen = machine(name, cpu, icount)
    requirePrograms(allPrograms)
    const ended = await typedOn((keyboard, giveUp) =>
      runOnHost({
        ...{ machine: chosen, kernel, command: ['sh', '-i'], timeoutSeconds: timeout },
        ...project('suite'),
        keyboard,
        giveUp,
      }),
    )
    process.exitCode = ended.status
  })
