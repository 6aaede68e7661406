import { Help, type Command } from 'commander'
import {
  commandDetails,
  environment,
  exitStatus,
  firstSteps,
  jsonNote,
  overview,
  type Row,
} from '../lib/cli/help.ts'
import { createProgram } from '../lib/cli/program.ts'

const help = new Help()

/** Makes the man page, in the format of man(7), from the help of the command line. */
export function manPage(version: string): string {
  const program = createProgram()
  const name = program.name()
  const lines = [
    `.\\" Made by npm run docs -- man from the help in lib/cli. Do not edit.`,
    `.TH ${name.toUpperCase()} 1 "" "${name} ${version}" "User Commands"`,
    '.SH NAME',
    `${escape(name)} \\- ${escape(program.summary())}`,
    '.SH SYNOPSIS',
    ...program.commands.flatMap((command) => synopsis(name, command)),
    '.SH DESCRIPTION',
    ...paragraphs(overview),
    '.SH OPTIONS',
    ...options(program),
    '.SH COMMANDS',
    ...program.commands.flatMap(commandSection),
    '.SH ENVIRONMENT',
    ...tagged(environment),
    '.SH "EXIT STATUS"',
    ...tagged(exitStatus),
    '.SH JSON',
    ...paragraphs([jsonNote]),
    '.SH EXAMPLES',
    ...examples([
      ...firstSteps,
      ...program.commands.flatMap((command) => commandDetails[command.name()]?.examples ?? []),
    ]),
    '.SH "SEE ALSO"',
    'https://docs.kernel.org/virt/kvm/api.html, 4.68 KVM_SET_ONE_REG',
  ]
  return `${lines.join('\n')}\n`
}

function synopsis(name: string, command: Command): string[] {
  return ['.PP', `\\fB${escape(name)} ${escape(command.name())}\\fR ${escape(command.usage())}`]
}

function commandSection(command: Command): string[] {
  return [
    `.SS ${escape(command.name())} ${escape(command.usage())}`,
    ...paragraphs(command.description().split('\n\n')),
    ...tagged(
      help.visibleArguments(command).map((argument) => ({
        term: `<${help.argumentTerm(argument)}>`,
        text: help.argumentDescription(argument),
      })),
    ),
    ...options(command),
  ]
}

function options(command: Command): string[] {
  return tagged(
    help.visibleOptions(command).map((option) => ({
      term: help.optionTerm(option),
      text: help.optionDescription(option),
    })),
  )
}

function tagged(rows: readonly Row[]): string[] {
  return rows.flatMap(({ term, text }) => ['.TP', `\\fB${escape(term)}\\fR`, escape(text)])
}

function examples(rows: readonly Row[]): string[] {
  const unique = new Map(rows.map(({ term, text }) => [term, text]))
  return [...unique].flatMap(([term, text]) => [
    '.PP',
    escape(`${text[0]?.toUpperCase() ?? ''}${text.slice(1)}:`),
    '.PP',
    '.RS 4',
    '.nf',
    escape(term),
    '.fi',
    '.RE',
  ])
}

function paragraphs(texts: readonly string[]): string[] {
  return texts.flatMap((text) => ['.PP', escape(text)])
}

/** Escapes what roff would interpret: hyphens, quotes, backslashes, and dots at the start of a line. */
function escape(text: string): string {
  return text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replaceAll("'", '\\(aq')
    .replaceAll('"', '\\(dq')
    .replace(/^\./, '\\&.')
}
