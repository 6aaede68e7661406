import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { Command } from 'commander'
import {
  addHostOptions,
  allPrograms,
  cacheHelp,
  exitStatusHelp,
  Failure,
  type HostOptions,
  type Machine,
  machine,
  machinesHelp,
  requirePrograms,
  runOnHost,
  withTemporary,
} from 'power-host'
import { project } from './project.ts'
import type { MeasuredRegister } from './registers/measure.ts'
import { registerColumns } from './registers/columns.ts'

const description =
  'Measures on three emulated POWER10 hosts, bare metal and partitions with nested v1 and v2, what KVM ' +
  'does with each register, and prints the registers in which they differ or which a run changes, side by side.'

const more = `
What is run:
  On each host, test/power/registers/measure.ts: it reads and writes each register of a vCPU that never
  runs, and then fills those of another one and lets it run for a moment.
${machinesHelp}
${cacheHelp}
${exitStatusHelp('0')}`

export const registersTable = addHostOptions(new Command('compare-registers'), 300)
  .summary('print what KVM does with each register on bare metal, nested v1 and nested v2')
  .description(description)
  .option('--all', 'print all registers that can be read')
  .addHelpText('after', more)
  .action(async ({ kernel, timeout, all }: HostOptions & { all?: true }) => {
    requirePrograms(allPrograms)
    const hosts = {
      'bare metal': machine('powernv10'),
      'nested v1': machine('pseries', 'POWER10'),
      'nested v2': machine('papr', 'POWER10'),
    }
    const columns: Record<string, Record<string, MeasuredRegister>> = {}
    for (const [name, each] of Object.entries(hosts)) {
      columns[name] = await measuredOn(each, kernel, timeout)
    }
    process.stdout.write(registerColumns(columns, all === true))
  })

async function measuredOn(
  chosen: Machine,
  kernel: HostOptions['kernel'],
  timeoutSeconds: number,
): Promise<Record<string, MeasuredRegister>> {
  return withTemporary(async (out) => {
    const { status } = await runOnHost({
      ...{ machine: chosen, kernel, timeoutSeconds, out },
      ...project('registers'),
      command: ['node', 'test/power/registers/measure.js'],
    })
    if (status !== 0) throw new Failure(`the registers could not be measured on ${chosen.title}`)
    const text = await readFile(path.join(out, 'registers.json'), 'utf8')
    return JSON.parse(text) as Record<string, MeasuredRegister>
  })
}
