import { Command, CommanderError, Option } from 'commander'
import { createRequire } from 'node:module'
import { decodeFile, formatNames } from './decode.ts'
import type { DecodeCommandOptions } from './decode.ts'
import { demo } from './demo.ts'
import { info } from './info.ts'
import { printable } from './print.ts'
import { listRegisters } from './registers.ts'

const EXIT_FAILED = 1
const EXIT_USAGE = 2

const { version } = createRequire(import.meta.url)('../../package.json') as { version: string }

const asJson = ['--json', 'print JSON; 64-bit values are decimal strings'] as const

/**
 * Runs a command line.
 *
 * @param args what follows the program's name
 * @returns the exit status
 */
export async function run(args: readonly string[]): Promise<number> {
  let status = 0
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

  program
    .command('info')
    .description('what this host can do for a guest: backend, clocks, TB_OFFSET, DEC_EXPIRY')
    .option(...asJson)
    .action((options: { json?: boolean }) => {
      status = info(options, version)
    })

  program
    .command('registers')
    .description('the table of registers: name, id, width, meaning')
    .option('--probe', 'ask a new vCPU of this kernel for each, and show what it holds')
    .option(...asJson)
    .action((options: { json?: boolean; probe?: boolean }) => {
      status = listRegisters(options)
    })

  program
    .command('demo')
    .description("move a guest's timebase between two hosts and show each step")
    .option(...asJson)
    .action(async (options: { json?: boolean }) => {
      status = await demo(options)
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
      status = await decodeFile(file, options)
    })

  try {
    await program.parseAsync(args, { from: 'user' })
    return status
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : EXIT_USAGE
    const message = error instanceof Error ? error.message : String(error)
    console.error(`kvm-ppc-onereg: ${printable(message)}`)
    return EXIT_FAILED
  }
}
