import { actualBackend } from '../kernel/backend.ts'
import { openHost } from '../kvm/host.ts'
import type { VerifyProgress } from '../verify/certificate.ts'
import { notOnModel, verify } from '../verify/verify.ts'
import { certificateText } from './certificate.ts'
import { json } from './print.ts'
import { Status } from './progress.ts'

export interface VerifyCommandOptions {
  readonly json?: boolean
  readonly seconds?: number
  readonly vcpus?: number
}

/** The command `verify`: tries what the library promises on this host. Returns 1 if a promise is broken. */
export async function verifyHost(options: VerifyCommandOptions, release: string): Promise<number> {
  if (actualBackend() !== 'kvm') throw notOnModel()
  const { json: asJson = false, ...limits } = options
  const status = new Status()
  const onProgress = ({ index, total, name, seen }: VerifyProgress): void => {
    status.show(`[${index + 1}/${total}] ${name}${seen === '' ? '' : `: ${seen}`}`)
  }
  return untilInterrupted(async (signal) => {
    try {
      using host = openHost({ backend: 'kvm' })
      const time = new Date().toISOString()
      const certificate = await verify(host, { ...limits, signal, onProgress })
      status.clear()
      console.log(
        asJson
          ? json({ release, time, ...certificate })
          : certificateText(certificate, release, time),
      )
      return certificate.ok ? 0 : 1
    } finally {
      status.clear()
    }
  })
}

/** Runs something that SIGINT and SIGTERM end cleanly; the process then ends by that signal. */
async function untilInterrupted(run: (signal: AbortSignal) => Promise<number>): Promise<number> {
  const controller = new AbortController()
  let received: NodeJS.Signals | undefined
  const interrupt = (signal: NodeJS.Signals): void => {
    received = signal
    controller.abort()
  }
  const signals = ['SIGINT', 'SIGTERM'] as const
  for (const signal of signals) process.once(signal, interrupt)
  try {
    return await run(controller.signal)
  } finally {
    for (const signal of signals) process.off(signal, interrupt)
    if (received !== undefined) process.kill(process.pid, received)
  }
}
