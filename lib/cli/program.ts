import { createRequire } from 'node:module'
import { styleText } from 'node:util'
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander'
import { checkStateFile } from './check-state.ts'
import { compareLists } from './compare.ts'
import { decodeFile, formatNames } from './decode.ts'
import type { DecodeCommandOptions } from './decode.ts'
import { demo } from './demo.ts'
import { commandDetails, environment, exitStatus, firstSteps, jsonNote, overview } from './help.ts'
import type { Row } from './help.ts'
import { info } from './info.ts'
import type { InfoOptions } from './info.ts'
import { planFile } from './plan.ts'
import type { PlanCommandOptions } from './plan.ts'
import { printable } from './print.ts'
import { findRegister, hintFor } from '../register-values.ts'
import type { RegisterName } from '../registers.ts'
import { listRegisters } from './registers.ts'
import type { RegistersCommandOptions } from './registers.ts'
import { paragraph, textWidth } from './terminal.ts'
import { verifyHost } from './verify.ts'
import type { VerifyCommandOptions } from './verify.ts'

const EXIT_FAILED = 1
const EXIT_USAGE = 2

const { version } = createRequire(import.meta.url)('../../package.json') as { version: string }

const asJson = ['--json', 'print JSON, for scripts'] as const

/**
 * Runs a command line.
 *
 * @param args the arguments after the program's name
 * @returns the exit status
 */
export async function run(args: readonly string[]): Promise<number> {
  let status = 0
  const program = createProgram((result) => {
    status = result
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

/** The commands, their options and their help. */
export function createProgram(done: (status: number) => void = () => undefined): Command {
  const program = new Command('kvm-ppc-onereg')
    .summary('KVM ONE_REG for POWER guests: their registers, and timebases that never go backwards')
    .description(overview.join('\n\n'))
    .version(version, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print help; after a command, for that command')
    .helpCommand('help [command]', 'print help for a command')
    .exitOverride()
    .showHelpAfterError("(try 'kvm-ppc-onereg --help')")
    .configureHelp({
      minWidthToWrap: 24,
      styleTitle: (title) => styleText('bold', title, { validateStream: false }),
    })
    .configureOutput({ getOutHelpWidth: textWidth, getErrHelpWidth: textWidth })

  add(program, 'info', 'check whether this host can move guests, and say what to do if it cannot')
    .addOption(
      new Option('--require <backend>', 'fail where the software model takes its place').choices([
        'kvm',
      ]),
    )
    .option(...asJson)
    .action((options: InfoOptions) => {
      done(info(options, version))
    })

  add(program, 'registers', 'list the registers: name, id, width, meaning')
    .argument('[names...]', 'list only these registers', oneMoreName)
    .option('--probe', 'read each from a new vCPU of this kernel, and show the value or the error')
    .option(...asJson)
    .action((names: readonly RegisterName[], options: RegistersCommandOptions) => {
      done(listRegisters(names, options))
    })

  add(
    program,
    'compare',
    'compare the registers of two hosts, from which and to which a guest moves',
  )
    .argument('<from>', 'what registers --probe --json printed on the source, or -')
    .argument('<to>', 'what it printed on the destination, or - for standard input')
    .option(...asJson)
    .action(async (source: string, destination: string, options, command: Command) => {
      if (source === '-' && destination === '-') {
        command.error('error: only one of the two files can be standard input', {
          exitCode: EXIT_USAGE,
        })
      }
      done(await compareLists({ source, destination }, options as { json?: boolean }))
    })

  add(program, 'demo', "move a guest's timebase between two hosts and show each step")
    .option(...asJson)
    .action(async (options: { json?: boolean }) => {
      done(await demo(options))
    })

  add(program, 'verify', 'try on this host what the library promises, with guests that run')
    .option('--seconds <n>', 'how long guests are moved, in all (default: 10)', upTo(3600))
    .option('--vcpus <n>', 'how many vCPUs a guest has (default: 2)', upTo(1024))
    .option(...asJson)
    .action(async (options: VerifyCommandOptions) => {
      done(await verifyHost(options, version))
    })

  add(program, 'check', 'check whether this host can load a saved timebase, line by line')
    .argument('<state>', 'the file that serializeTimebase() made, or - for standard input')
    .option(...asJson)
    .action(async (file: string, options: { json?: boolean }) => {
      done(await checkStateFile(file, options))
    })

  add(program, 'plan', 'show what a load of a saved timebase would do on this host, and do nothing')
    .argument('<state>', 'the file that serializeTimebase() made, or - for standard input')
    .addOption(
      new Option('--downtime <word>', 'whether the pause counts for the guest').choices([
        'advance',
        'freeze',
      ]),
    )
    .addOption(
      new Option('--rounding <word>', 'to which step of 2^24 ticks').choices(['nearest', 'up']),
    )
    .option('--max-downtime-ns <ns>', 'refuse a longer pause', wholeNumber)
    .option(...asJson)
    .action(async (file: string, options: PlanCommandOptions) => {
      done(await planFile(file, options))
    })

  add(program, 'decode', "show the content of a file: QEMU's or libvirt's saved guest, a timebase")
    .argument('<file>', 'its path, or - for standard input')
    .addOption(
      new Option('--format <name>', 'the file is the bytes of this VMState').choices(formatNames),
    )
    .option('--all', 'show every field of every device in a migration stream')
    .option('--search', 'search for the timebase in a stream that does not describe its fields')
    .option('--snapshot <name>', 'the snapshot to read, if a qcow2 image has several')
    .option(...asJson)
    .action(async (file: string, options: DecodeCommandOptions) => {
      done(await decodeFile(file, options))
    })

  return program.addHelpText('after', ({ command }) =>
    [
      section(command, 'First steps:', firstSteps),
      section(command, 'Environment:', environment),
      section(command, 'Exit status:', exitStatus),
      `\n${paragraph(`${jsonNote} More: man kvm-ppc-onereg.`)}`,
    ].join('\n'),
  )
}

function add(program: Command, name: string, summary: string): Command {
  const details = commandDetails[name]
  const command = program
    .command(name)
    .summary(summary)
    .showHelpAfterError(`(try 'kvm-ppc-onereg ${name} --help')`)
  if (details === undefined) return command.description(summary)
  const capital = `${summary[0]?.toUpperCase() ?? ''}${summary.slice(1)}.`
  return command
    .description([capital, ...details.text].join('\n\n'))
    .addHelpText('after', () => section(command, 'Examples:', details.examples))
}

function oneMoreName(name: string, before: readonly RegisterName[] = []): RegisterName[] {
  if (findRegister(name) !== undefined) return [...before, name as RegisterName]
  throw new InvalidArgumentError(`It must be a name of the table${hintFor(name)}.`)
}

function upTo(most: number): (text: string) => number {
  return (text) => {
    const value = /^\d{1,5}$/.test(text) ? Number(text) : 0
    if (value >= 1 && value <= most) return value
    throw new InvalidArgumentError(`It must be a whole number from 1 to ${most}.`)
  }
}

function wholeNumber(text: string): bigint {
  if (!/^\d{1,20}$/.test(text)) throw new InvalidArgumentError('It must be a whole number of ns.')
  return BigInt(text)
}

/** A title and a list, formatted like commander's own lists. */
function section(command: Command, title: string, rows: readonly Row[]): string {
  const help = Object.assign(command.createHelp(), { helpWidth: textWidth() })
  const width = Math.max(...rows.map(({ term }) => term.length))
  const isLong = width > MAX_TERM
  const lines = isLong
    ? rows.map(({ term, text }) => `  ${term}\n${help.formatItem('', 2, text, help)}`)
    : rows.map(({ term, text }) => help.formatItem(term, width, text, help))
  return ['', help.styleTitle(title), ...lines].join('\n')
}

/** Longer terms have their text on the next line. */
const MAX_TERM = 40
