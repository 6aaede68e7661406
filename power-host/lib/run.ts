import { spawn, type ChildProcess } from 'node:child_process'
import { Failure, lastLines } from './failure.ts'
import { interrupted } from './interrupt.ts'

export interface RunOptions {
  cwd?: string
  env?: NodeJS.ProcessEnv
  input?: string
}

export interface Output {
  stdout: string
  stderr: string
}

/** Runs a program to its end and returns its output. Throws if the program fails. */
export async function run(
  command: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<Output> {
  interrupted.throwIfAborted()
  // A process group of its own: killing the group also ends the compiler below node-gyp.
  const child = spawn(command, args, { cwd: options.cwd, env: options.env, detached: true })
  const kill = (): void => {
    killGroup(child, 'SIGTERM')
  }
  interrupted.addEventListener('abort', kill)
  try {
    const output = { stdout: '', stderr: '' }
    child.stdout.setEncoding('utf8').on('data', (text: string) => (output.stdout += text))
    child.stderr.setEncoding('utf8').on('data', (text: string) => (output.stderr += text))
    // Ignored, since a program need not read all of its input; its exit status tells whether it failed.
    child.stdin.on('error', () => undefined)
    child.stdin.end(options.input ?? '')
    const status = await ended(child)
    interrupted.throwIfAborted()
    if (status !== 0) {
      const said = lastLines(output.stdout + output.stderr, 30)
      throw new Failure(`${command} ${args.join(' ')}\nfailed (${status}):\n${said}`)
    }
    return output
  } finally {
    interrupted.removeEventListener('abort', kill)
  }
}

/** Resolves to the exit status or the name of the signal, when all output has been read. */
export function ended(child: ChildProcess): Promise<number | string> {
  return new Promise((resolve, reject) => {
    child.once('error', (error) => {
      reject(new Failure(error.message))
    })
    child.once('close', (status, signal) => {
      resolve(status ?? signal ?? 'unknown')
    })
  })
}

export function killGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid === undefined) return
  try {
    process.kill(-child.pid, signal)
  } catch {
    // The program has ended already.
  }
}
