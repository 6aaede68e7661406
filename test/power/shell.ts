import { Command } from 'commander'
import { runOnHost } from '../../power-host/lib/host.ts'
import { Keyboard } from '../../power-host/lib/keyboard.ts'
import { machine } from '../../power-host/lib/machine.ts'
import {
  addHostOptions,
  cacheHelp,
  exitStatusHelp,
  machinesHelp,
  type HostOptions,
} from '../../power-host/lib/options.ts'
import { note } from '../../power-host/lib/progress.ts'
import { runProgram } from '../../power-host/lib/program.ts'
import { allPrograms, requirePrograms } from '../../power-host/lib/requirements.ts'

const A_DAY = 86_400

const description =
  'Opens a shell on an emulated POWER host with real KVM, as root, in this project’s folder.'

const more = `
Examples:
  npm run power:shell
  npm run power:shell -- --machine powernv9 --kernel 7.2
  echo "kvm-ppc-onereg info; dmesg | tail -n 3" | npm run --silent power:shell

What is there:
  Node, busybox, kvm-ppc-onereg, and the whole project with its tests and what they need, as it is in the
  tree at that moment: node_modules/.bin/vitest run test/kvm/snapshot.test.ts. Nothing that is written there
  stays. The shell ends with "exit" or Ctrl-D, and the host with it; Ctrl-] ends the host at once. Where
  standard input is a pipe, its lines are typed.
${machinesHelp}
${cacheHelp}
${exitStatusHelp('that of the shell')}`

const program = addHostOptions(new Command('npm run power:shell --'), A_DAY)
  .description(description)
  .addHelpText('after', more)
  .action(async ({ machine: name, cpu, icount, kernel, timeout }: HostOptions) => {
    const chosen = machine(name, cpu, icount)
    requirePrograms(allPrograms)
    const left = new AbortController()
    const keyboard = new Keyboard(process.stdin, () => {
      left.abort(new Error('left with Ctrl-]'))
    })
    const work = runOnHost({
      machine: chosen,
      kernel,
      extent: 'suite',
      command: ['sh', '-i'],
      timeoutSeconds: timeout,
      giveUp: left.signal,
      keyboard,
    })
    const ended = await work.catch((error: unknown) => {
      if (!left.signal.aborted) throw error
      note('left')
      return { status: 0 }
    })
    process.exitCode = ended.status
  })

await runProgram(program)
