import path from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { Command } from 'commander'
import { withTemporary } from './cache.ts'
import { runOnHost } from './host.ts'
import { machine, wired } from './machine.ts'
import {
  addHostOptions,
  cacheHelp,
  exitStatusHelp,
  machinesHelp,
  type HostOptions,
} from './options.ts'
import { runProgram } from './program.ts'
import { allPrograms, requirePrograms } from './requirements.ts'

/** By so much the second host's timebase is behind the first one's. */
const APART_MS = 3000

const description =
  'Moves a guest that watches its own timebase from one emulated POWER host to another and back, ' +
  'over a serial wire, and shows what happens and what the guest has seen.'

const more = `
What is run:
  Two hosts, started ${APART_MS / 1000} s apart, so that their timebases differ. The guest has four vCPUs, each
  of which reads its timebase in a tight loop. It is moved to the second host and back three times:
  with the second host's wall clock right, 5 s ahead, and 5 s behind. The programs are first.ts and
  second.ts in test/power/move.
${machinesHelp}
${cacheHelp}
${exitStatusHelp('0 if the guest saw nothing that it should not, 1 if it did')}`

const program = addHostOptions(new Command('npm run power:migrate --'), 300)
  .description(description)
  .addHelpText('after', more)
  .action(async ({ machine: name, cpu, icount, kernel, timeout }: HostOptions) => {
    const chosen = machine(name, cpu, icount)
    requirePrograms(allPrograms)
    process.exitCode = await withTemporary(async (directory) => {
      const socket = path.join(directory, 'wire')
      const failed = new AbortController()
      const start = (end: 'listens' | 'calls', script: string) =>
        runOnHost({
          machine: wired(chosen, socket, end),
          kernel,
          extent: 'move',
          command: ['node', `test/power/move/${script}`],
          timeoutSeconds: timeout,
          giveUp: failed.signal,
        }).catch((error: unknown) => {
          // Without the one the other would wait for ever.
          failed.abort()
          throw error
        })
      const first = start('listens', 'first.js')
      await Promise.race([first, wait(APART_MS)])
      const [{ status }] = await Promise.all([first, start('calls', 'second.js')])
      return status
    })
  })

await runProgram(program)
