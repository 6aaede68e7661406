import { spawn } from 'node:child_process'
import { once } from 'node:events'
import path from 'node:path'
import { expect, it } from 'vitest'
import { emulated } from '../support/emulated.ts'
import { callKinds } from '../support/endless-calls.ts'
import { describeUnless, kvmLacks } from '../support/lacking.ts'

const kinds = Object.keys(callKinds)
/** What each worker does: there, to start one takes half a minute. */
const workers = emulated ? [kinds.join(',')] : kinds
const TIMEOUT_MS = 60_000 * (emulated ? 10 : 1)

interface Ended {
  readonly how: string | number | null
  readonly stdout: string
  readonly stderr: string
}

/** Starts child-ending.ts, and sends it a signal when it is running. */
async function run(end: string): Promise<Ended> {
  const program = path.join(import.meta.dirname, '../support/child-ending.ts')
  const child = spawn(process.execPath, ['--import', 'tsx', program, end, ...workers], {
    env: { ...process.env, NODE_OPTIONS: '' },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: TIMEOUT_MS,
    killSignal: 'SIGKILL',
  })
  const output = { stdout: '', stderr: '' }
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output.stdout += text
    if (text.includes('running') && end.startsWith('SIG')) child.kill(end as NodeJS.Signals)
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => (output.stderr += text))
  const [status, signal] = (await once(child, 'close')) as [number | null, string | null]
  return { how: signal ?? status, ...output }
}

describeUnless(kvmLacks, 'a process with calls in flight in several workers', () => {
  it(
    'can terminate each in the middle of its calls, which leaves no file open',
    async () => {
      const stdout = 'terminated, 0 files left\n'
      expect(await run('terminate')).toEqual({ how: 0, stdout, stderr: '' })
    },
    TIMEOUT_MS,
  )

  // There, running.power.test.ts has these, of a process with a vCPU that runs.
  if (emulated) return

  it(
    'can exit',
    async () => {
      expect(await run('exit')).toEqual({ how: 5, stdout: 'running\n', stderr: '' })
    },
    TIMEOUT_MS,
  )

  it(
    'ends by an uncaught exception as any other, with its message alone',
    async () => {
      const { how, stdout, stderr } = await run('throw')
      expect([how, stdout]).toEqual([1, 'running\n'])
      // As Node prints it: the place, the message, the stack, its version.
      expect(stderr).toMatch(
        /^\S+child-ending\.ts:\d+\n.*\n *\^\n+Error: Something else went wrong\n( {4}at .*\n)+\nNode\.js v.*\n$/,
      )
    },
    TIMEOUT_MS,
  )

  it.each(['SIGTERM', 'SIGINT', 'SIGHUP'])(
    'ends by %s',
    async (signal) => {
      expect(await run(signal)).toEqual({ how: signal, stdout: 'running\n', stderr: '' })
    },
    TIMEOUT_MS,
  )
})
