#!/usr/bin/env node
import { Command, CommanderError, Option } from 'commander'
import { createRequire } from 'node:module'
import { decodeFile, formatNames } from './decode.ts'
import type { DecodeCommandOptions } from './decode.ts'
import { demo } from './demo.ts'
import { info } from './info.ts'
import { listRegisters } from './registers.ts'

const EXIT_FAILED = 1
const EXIT_USAGE = 2

const { version } = createRequire(import.meta.url)('../../package.json') as { version: string }

const program = new Command('kvm-ppc-onereg')
  .description(
    'KVM ONE_REG for POWER guests: their registers, and timebases that never go backwards',
  )
  .version(version)
  .exitOverride()
  .addHelpText(
    'after',
    `
On POWER the commands use real KVM (/dev/kvm); elsewhere a software model stands in.
KVM_PPC_BACKEND=kvm or software chooses.

Exit status: 0 done, 1 failed or something is missing, 2 wrong usage.`,
  )

const asJson = ['--json', 'print JSON; 64-bit values are decimal strings'] as const

program
  .command('info')
  .description('what this host can do for a guest: backend, clocks, TB_OFFSET, DEC_EXPIRY')
  .option(...asJson)
  .action((options: { json?: boolean }) => {
    process.exitCode = info(options, version)
  })

program
  .command('registers')
  .description('the table of registers: name, id, width, meaning')
  .option('--probe', 'ask a new vCPU of this kernel for each, and show what it holds')
  .option(...asJson)
  .action((options: { json?: boolean; probe?: boolean }) => {
    process.exitCode = listRegisters(options)
  })

program
  .command('demo')
  .description("move a guest's timebase between two hosts and show each step")
  .option(...asJson)
  .action(async (options: { json?: boolean }) => {
    process.exitCode = await demo(options)
  })

program
  .command('decode')
  .description("what a file holds: QEMU's migration stream, a VMState, or a saved timebase")
  .argument('<file>', 'its path, or - for standard input; what gzip packed is unpacked')
  .addOption(
    new Option('--format <name>', 'the file is the bytes of this VMState').choices(formatNames),
  )
  .option('--all', 'every field of every device in a migration stream')
  .option('--search', 'look for the timebase in a stream that does not say where it is')
  .option(...asJson)
  .action(async (file: string, options: DecodeCommandOptions) => {
    process.exitCode = await decodeFile(file, options)
  })

try {
  await program.parseAsync()
} catch (error) {
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : EXIT_USAGE
  else {
    console.error(`kvm-ppc-onereg: ${error instanceof Error ? error.message : String(error)}`)
    process.exitCode = EXIT_FAILED
  }
}
