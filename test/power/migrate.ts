import { existsSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import path from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { Command } from 'commander'
import {
  addHostOptions,
  allPrograms,
  cacheHelp,
  exitStatusHelp,
  type HostOptions,
  type Machine,
  machine,
  machinesHelp,
  requirePrograms,
  runOnHost,
  wired,
  withTemporary,
} from 'power-host'
import { project } from './project.ts'
import type { Recording } from './move/record.ts'

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

interface Options extends HostOptions {
  json?: string
}

export const migrate = addHostOptions(new Command('migrate'), 300)
  .summary('move a guest from one host to another and back, and show what it sees')
  .description(description)
  .option(
    '--json <file>',
    'move it six times more, also as QEMU would, and write down what it read; npm run docs -- picture draws that',
  )
  .addHelpText('after', more)
  .action(async ({ machine: name, cpu, icount, kernel, timeout, json }: Options) => {
    const chosen = machine(name, cpu, icount)
    requirePrograms(allPrograms)
    process.exitCode = await withTemporary(async (directory) => {
      const socket = path.join(directory, 'wire')
      const failed = new AbortController()
      const start = (end: 'listens' | 'calls', program: string[], bootAfter?: Promise<unknown>) =>
        runOnHost({
          machine: wired(chosen, socket, end),
          kernel,
          ...project('move'),
          command: ['node', ...program],
          timeoutSeconds: timeout,
          giveUp: failed.signal,
          ...(bootAfter === undefined ? {} : { bootAfter }),
        }).catch((error: unknown) => {
          // Without the one the other would wait for ever.
          failed.abort()
          throw error
        })
      const record = json === undefined ? [] : ['--record']
      const first = start('listens', ['test/power/move/first.js', ...record])
      const firstRuns = startOf(socket, failed.signal).then(() => wait(APART_MS))
      const second = start('calls', ['test/power/move/second.js'], firstRuns)
      const [{ status, result }] = await Promise.all([first, second])
      if (json !== undefined && result !== undefined) await writeRecording(json, chosen, result)
      return status
    })
  })

/** QEMU makes the socket as it starts, on whose other end the second host's is to be. */
async function startOf(socket: string, giveUp: AbortSignal): Promise<void> {
  while (!existsSync(socket) && !giveUp.aborted) await wait(50)
}

async function writeRecording(file: string, { title }: Machine, result: string): Promise<void> {
  const recording = { machine: title, ...(JSON.parse(result) as Recording) }
  await writeFile(file, `${JSON.stringify(recording, null, 2)}\n`)
}
