import { spawn } from 'node:child_process'
import { exitStatus, Failure, lastLines } from './failure.ts'
import { HostConsole, type Outputs } from './host-console.ts'
import { interrupted } from './interrupt.ts'
import type { Keyboard } from './keyboard.ts'
import { note } from './progress.ts'
import type { Qemu } from './qemu.ts'
import { ended, killGroup } from './run.ts'

/** After how long without output we say what it is doing. */
const silenceSeconds = 30

export interface Boot {
  qemu: Qemu
  args: readonly string[]
  /** Marks what the host's /init says to us. */
  token: string
  timeoutSeconds: number
  /** Called when the command begins. */
  onBegin: () => void
  /** Ends it before its time. */
  giveUp?: AbortSignal | undefined
  /** What its console shall read, and nothing else unless told. */
  keyboard?: Keyboard | undefined
}

/** How the command ended. */
export interface Ended {
  status: number
  /** What it had to say besides its output, if it was the test suite. */
  result: string | undefined
}

/** Boots the emulated host, passes on what its command prints, and waits for its end. */
export async function boot(job: Boot): Promise<Ended> {
  const { args, token, timeoutSeconds, onBegin, giveUp, keyboard } = job
  interrupted.throwIfAborted()
  // setpriv: should this process be killed, the kernel ends QEMU as well.
  const { command, args: before, env } = job.qemu
  const line = ['--pdeathsig', 'KILL', command, ...before, ...args]
  const qemu = spawn('setpriv', line, { stdio: 'pipe', detached: true, env })
  const kill = (): void => {
    killGroup(qemu, 'SIGKILL')
  }
  if (keyboard === undefined) qemu.stdin.end()
  const timeUp = AbortSignal.timeout(timeoutSeconds * 1000)
  const stop = AbortSignal.any([interrupted, timeUp, ...(giveUp ? [giveUp] : [])])
  stop.addEventListener('abort', kill)
  // So that whoever waits can see that it goes on; who types sees it.
  const silence = setInterval(() => {
    if (keyboard === undefined) note(`it is ${host.doing}`)
  }, silenceSeconds * 1000)
  const passOnTo = (stream: NodeJS.WriteStream): Outputs['stdout'] => ({
    write: (bytes) => {
      silence.refresh()
      stream.write(bytes)
    },
  })
  const stdout = passOnTo(process.stdout)
  const begin = (): void => {
    onBegin()
    keyboard?.connect(qemu.stdin)
  }
  const host = new HostConsole(token, { stdout, stderr: passOnTo(process.stderr), onBegin: begin })
  try {
    qemu.stdout.on('data', (chunk: Buffer) => {
      host.read(chunk)
      // Nothing comes after its last word, and not every machine can switch itself off.
      if (host.finished) kill()
    })
    let qemuSaid = ''
    qemu.stderr.setEncoding('utf8').on('data', (text: string) => (qemuSaid += text))
    const end = await ended(qemu)
    host.endOfConsole()
    interrupted.throwIfAborted()
    if (host.exitStatus !== undefined) return { status: host.exitStatus, result: host.result }
    const doing = `while ${host.doing}`
    const why = timeUp.aborted
      ? `was given up after ${timeoutSeconds} s (see --timeout) ${doing}`
      : (host.failure ?? `ended ${doing} (QEMU: ${end})`)
    const said = lastLines(`${qemuSaid}\n${host.console}`, 40)
    throw new Failure(
      `the emulated host ${why}. The last lines of its console:\n${said}`,
      timeUp.aborted ? exitStatus.timedOut : exitStatus.hostFailed,
    )
  } finally {
    keyboard?.disconnect()
    clearInterval(silence)
    stop.removeEventListener('abort', kill)
  }
}
