import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { root } from './markdown.ts'

const ci = readFileSync(path.join(root, '.ci/run'), 'utf8')
const { scripts } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')) as {
  scripts: Readonly<Record<string, string>>
}

/** Scripts that CI does not run as they are named, and why a document may name them nevertheless. */
const byHand: Readonly<Record<string, string>> = {
  bench: 'its times are those of one machine',
  build: 'its two parts are run when CI installs',
  'build:addon': 'the installation runs the same script',
  demo: 'a test of the command runs it',
  dev: 'runs until it is ended',
  'power -- shell': 'waits for somebody to type',
  'power -- coverage': 'wants gcovr, and runs all tests again',
  'test:coverage': 'the same',
  'test:mutation': 'runs the tests for thousands of mutants',
}

/** The beginnings of other commands that a document may name, with the reason. */
const elsewhere: Readonly<Record<string, string>> = {
  'npm install kvm-ppc-onereg': 'the tests of the package install its tarball',
  'esbuild app.mjs': 'the tests of the package bundle one with these options',
}

/** Documents whose blocks CI runs from top to bottom. */
const wholes: Readonly<Record<string, string>> = {
  'docs/power-host.md': 'npm run power -- recipe',
}

/** Lists commands in a document that no test or CI step runs, or that do not exist. */
export function problemsOfCommands(document: string, code: string): string[] {
  const whole = wholes[document]
  if (whole !== undefined) return ci.includes(whole) ? [] : [`CI does not run ${whole}`]
  return commandsOf(code).flatMap((command) => problemOf(command) ?? [])
}

function commandsOf(code: string): string[] {
  return code
    .replaceAll('\\\n', ' ')
    .split(/\n|&&/)
    .map((line) => line.replace(/(^|\s)#.*/, '').trim())
    .filter((line) => line !== '')
}

function problemOf(command: string): string | undefined {
  const [program = '', first = '', second = '', ...rest] = command.split(/\s+/)
  const isOurs =
    /^(npx )?kvm-ppc-onereg /.exec(command)?.[0] ?? /^node dist\/cli\/main\.js /.exec(command)?.[0]
  if (isOurs !== undefined) return problemOfOurs(command.slice(isOurs.length))
  if (program === 'npm' && ['ci', 'cit', 'test'].includes(first)) return undefined
  if (program === 'npm' && first === 'run') return problemOfScript(second, rest)
  if (Object.keys(elsewhere).some((beginning) => command.startsWith(beginning))) return undefined
  return `is not run by a test or CI: ${command}`
}

export function hasScript(name: string): boolean {
  return Object.hasOwn(scripts, name)
}

/** A script that has commands of its own is named with the first word after `--`. */
function problemOfScript(script: string, rest: readonly string[]): string | undefined {
  if (!hasScript(script)) return `package.json has no script ${script}`
  const hasCommands = ['power', 'check', 'docs'].includes(script) && rest[0] === '--'
  const name = hasCommands ? `${script} -- ${rest[1] ?? ''}` : script
  if (new RegExp(`npm run (--silent )?${name}(?![:\\w-])`).test(ci)) return undefined
  return name in byHand ? undefined : `CI does not run ${name}, and no reason is given`
}

/** Checks a command of this project's command line against its help. */
function problemOfOurs(rest: string): string | undefined {
  const main = path.join(root, 'dist/cli/main.js')
  const { stdout } = spawnSync(process.execPath, [main, '--help'], { encoding: 'utf8' })
  const [name = ''] = rest.split(/\s/)
  const has = name.startsWith('-')
    ? stdout.includes(name)
    : new RegExp(`^  ${name}\\b`, 'm').test(stdout)
  return has ? undefined : `the command has no ${name}`
}
