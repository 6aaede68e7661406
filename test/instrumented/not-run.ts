import { readFileSync } from 'node:fs'
import path from 'node:path'

/** A line that has not been run. */
export interface Line {
  file: string
  number: number
}

interface Reason {
  readonly file: string
  /** The text of the lines. The default is all lines of the file. */
  readonly text?: RegExp
  readonly why: string
}

/** Why lines are not run by a test, or not counted. */
const reasons: readonly Reason[] = [
  {
    file: 'lib/cli/main.ts',
    why: 'tests start it as a program, and what other processes run is not counted',
  },
  {
    file: 'lib/kvm/host.ts',
    text: /warned|emitWarning/,
    why: 'this happens once in a process, so it is tested in other processes, which are not counted',
  },
  {
    file: 'lib/cli/program.ts',
    text: /done: \(status: number\) => void = /,
    why: 'only the script that makes the man page uses the default',
  },
  {
    file: 'lib/cli/registers.ts',
    text: /throw error/,
    why: 'that would be a bug of this project: no register gives such an error',
  },
  {
    file: 'native/binding_async.cc',
    text: /^\[\]\(napi_env env/,
    why: 'GCC makes a second function of a lambda that becomes a function pointer, which is never called',
  },
]

const root = path.resolve(import.meta.dirname, '../..')

/** Prints the lines with their reasons, and those without a reason. */
export function explain(lines: readonly Line[]): boolean {
  const unexplained: string[] = []
  const used = new Set<Reason>()
  for (const { file, number } of lines) {
    const text = readFileSync(path.join(root, file), 'utf8').split('\n')[number - 1]?.trim() ?? ''
    const reason = reasons.find((each) => each.file === file && (each.text?.test(text) ?? true))
    if (reason === undefined) unexplained.push(`${file}:${number}  ${text}`)
    else used.add(reason)
  }
  for (const { file, why } of used) console.log(`Not run of ${file}: ${why}`)
  for (const line of unexplained) console.log(`Not run, without a reason in not-run.ts: ${line}`)
  const idle = reasons.filter((reason) => !used.has(reason))
  for (const { file, why } of idle)
    console.log(`Run by now, so no reason is needed: ${file}, ${why}`)
  return unexplained.length + idle.length === 0
}
