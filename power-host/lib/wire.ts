import { existsSync } from 'node:fs'
import path from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import type { Ended } from './boot.ts'
import { withTemporary } from './cache.ts'
import { runOnHost, type Job } from './host.ts'
import { wired } from './machine.ts'

/**
 * Runs two hosts with a serial wire between them, which is /dev/hvc1 on each. The second host is started
 * `apartMs` milliseconds after the first, so that their timebases differ by that time. If one of them fails, the
 * other is ended. The output of both is passed on as it comes.
 */
export function runWired(first: Job, second: Job, apartMs = 0): Promise<[Ended, Ended]> {
  return withTemporary(async (directory) => {
    const socket = path.join(directory, 'wire')
    const failed = new AbortController()
    const start = (job: Job, end: 'listens' | 'calls', bootAfter?: Promise<unknown>) => {
      const giveUp = job.giveUp ? AbortSignal.any([job.giveUp, failed.signal]) : failed.signal
      return runOnHost({
        ...job,
        machine: wired(job.machine, socket, end),
        giveUp,
        ...(bootAfter === undefined ? {} : { bootAfter }),
      }).catch((error: unknown) => {
        // Otherwise the other host would wait for ever.
        failed.abort()
        throw error
      })
    }
    const firstRuns = startOf(socket, failed.signal).then(() => wait(apartMs))
    return Promise.all([start(first, 'listens'), start(second, 'calls', firstRuns)])
  })
}

/** Waits until the first host's QEMU has made the socket, to which the second host's connects. */
async function startOf(socket: string, giveUp: AbortSignal): Promise<void> {
  while (!existsSync(socket) && !giveUp.aborted) await wait(50)
}
