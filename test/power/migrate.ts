import { writeFile } from 'node:fs/promises'
import { Command } from 'commander'
import {
  addHostOptions,
  allPrograms,
  cacheHelp,
  exitStatusHelp,
  type HostOptions,
  type Job,
  type Machine,
  machine,
  machinesHelp,
  requirePrograms,
  runWired,
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
  with the second host's wall clock right, 5 s ahead, and 30 s behind. Its registers and its timebase
  go as the text of serializeOneRegState(); pc, msr, the general registers and the memory are moved
  by the test. The programs are first.ts and second.ts in test/power/move.
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
    const record = json === undefined ? [] : ['--record']
    const job = (program: string, ...args: string[]): Job => ({
      ...{ machine: chosen, kernel, timeoutSeconds: timeout },
      ...project('move'),
      command: ['node', `test/power/move/${program}`, ...args],
    })
    const jobs = [job('first.js', ...record), job('second.js')] as const
    const [{ status, result }] = await runWired(...jobs, APART_MS)
    if (json !== undefined && result !== undefined) await writeRecording(json, chosen, result)
    process.exitCode = status
  })

async function writeRecording(file: string, { title }: Machine, result: string): Promise<void> {
  const recording = { machine: title, ...(JSON.parse(result) as Recording) }
  await writeFile(file, `${JSON.stringify(recording, null, 2)}\n`)
}
