import { Command } from 'commander'
import { writeFile } from 'node:fs/promises'
import { Option } from 'commander'
import {
  allPrograms,
  cacheHelp,
  exitStatusHelp,
  machine,
  type MachineName,
  machineNames,
  requirePrograms,
  runOnHost,
  runProgram,
  timeoutOption,
} from 'power-host'
import { project } from '../test/power/project.ts'

interface Options {
  machine: MachineName
  vcpus: string
  json?: string
  timeout: number
}

const more = `
The host has one processor. Its clock counts instructions, a nanosecond each, those of the kernel
included. So the figures are instructions, and the same in each run to within some tenths of a percent.
The C program of bench/baseline.c makes the same ioctls in the same run.
${cacheHelp}
${exitStatusHelp('0 if everything could be measured, whatever the figures')}`

const program = new Command('npm run bench:power --')
  .description('Counts the instructions of this library on an emulated POWER host, on real KVM.')
  .addOption(
    new Option('--machine <name>', 'the emulated machine').choices(machineNames).default('pseries'),
  )
  .option('--vcpus <counts>', 'the sizes of guests to save and load', '1,16,256,1024')
  .option('--json <file>', 'write the rows to this file too')
  .addOption(timeoutOption(900))
  .addHelpText('after', more)
  .action(async ({ machine: name, vcpus, json, timeout }: Options) => {
    requirePrograms(allPrograms)
    const { status, result } = await runOnHost({
      machine: machine(name, undefined, true),
      kernel: '6.12',
      ...project('bench'),
      command: ['node', '--import', 'tsx', 'bench/on-power.ts', vcpus],
      timeoutSeconds: timeout,
    })
    if (json !== undefined && result !== undefined) await writeFile(json, `${result}\n`)
    process.exitCode = status
  })

await runProgram(program)
