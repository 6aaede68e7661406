import { spawn } from 'node:child_process'
import { exitStatus, Failure, lastLines } from './failure.ts'
import { HostConsole, type Outputs } from './host-console.ts'
import { interrupted } from './interrupt.ts'
import type { Keyboard } from './keyboard.ts'
import { note } from './progress.ts'
import type { Qemu } from './qemu.ts'
import { ended, killGroup } from './run.ts'

/** After this time without output, a line says what the host is doing. */
const silenceSeconds = 30

export interface Boot {
  qemu: Qemu
  args: readonly string[]
  /** The mark of lines that the host's /init writes for this program. */
  token: string
  timeoutSeconds: number
  /** Called when the command begins. */
  onBegin: () => void
  /** Ends the host early. */
  giveUp?: AbortSignal | undefined
  /** Connected to the input of the host's console, which is empty otherwise. */
  keyboard?: Keyboard | undefined
}

/** How the command ended. */
export interface Ended {
  status: number
  /** The message that the command sent besides its output, such as the results of a test suite. */
  result: string | undefined
}

/** Boots the emulated host, passes on the output of its command, and waits for its end. */
export async function boot(job: Boot): Promise<Ended> {
  const { args, token, timeoutSeconds, onBegin, giveUp, keyboard } = job
  interrupted.throwIfAborted()
  // With setpriv the kernel ends QEMU if this process is killed.
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
  // Shows that the host is still working; not needed if somebody types at its console.
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
      // The exit status is the host's last line. QEMU is ended here, since some machines cannot switch off.
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
