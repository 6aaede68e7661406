import { spawn } from 'node:child_process'
import { exitStatus, Failure, lastLines } from './failure.ts'
import { HostConsole } from './host-console.ts'
import { interrupted } from './interrupt.ts'
import { ended, killGroup } from './run.ts'

export interface Boot {
  args: readonly string[]
  /** Marks what the host's /init says to us. */
  token: string
  timeoutSeconds: number
  /** Called when the command begins. */
  onBegin: () => void
}

/** Boots the emulated host, passes on what its command prints, and returns its exit status. */
export async function boot({ args, token, timeoutSeconds, onBegin }: Boot): Promise<number> {
  interrupted.throwIfAborted()
  // setpriv: should this process be killed, the kernel ends QEMU as well.
  const command = ['--pdeathsig', 'KILL', 'qemu-system-ppc64', ...args]
  const qemu = spawn('setpriv', command, { stdio: ['ignore', 'pipe', 'pipe'], detached: true })
  const kill = (): void => {
    killGroup(qemu, 'SIGKILL')
  }
  const timeUp = AbortSignal.timeout(timeoutSeconds * 1000)
  const stop = AbortSignal.any([interrupted, timeUp])
  stop.addEventListener('abort', kill)
  try {
    const host = new HostConsole(token, { stdout: process.stdout, stderr: process.stderr, onBegin })
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
    if (host.exitStatus !== undefined) return host.exitStatus
    const doing = `while ${host.stage}`
    const why = timeUp.aborted
      ? `was given up after ${timeoutSeconds} s (see --timeout) ${doing}`
      : (host.failure ?? `ended ${doing} (QEMU: ${end})`)
    const said = lastLines(`${qemuSaid}\n${host.console}`, 40)
    throw new Failure(
      `the emulated host ${why}. The last lines of its console:\n${said}`,
      timeUp.aborted ? exitStatus.timedOut : exitStatus.hostFailed,
    )
  } finally {
    stop.removeEventListener('abort', kill)
  }
}
