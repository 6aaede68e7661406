import { existsSync } from 'node:fs'
import path from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import type { Ended } from './boot.ts'
import { withTemporary } from './cache.ts'
import { runOnHost, type Job } from './host.ts'
import { checkWire, wired } from './machine.ts'
import { runTogether } from './together.ts'

/**
 * Runs two hosts with a serial wire between them, which is /dev/hvc1 on each. The second host is started
 * `apartMs` milliseconds after the first, so that their timebases differ by that time. The output of both is passed
 * on as it comes.
 *
 * If one of them fails, or its command ends with another status than 0, the other is ended. The result of a host
 * that was ended so is undefined.
 *
 * @throws {Failure} if one of them fails as in {@link runOnHost}
 */
export async function runWired(
  first: Job,
  second: Job,
  apartMs = 0,
): Promise<[Ended | undefined, Ended | undefined]> {
  for (const { machine, kernel } of [first, second]) checkWire(machine, kernel)
  return withTemporary(async (directory) => {
    const socket = path.join(directory, 'wire')
    const start = (job: Job, end: 'listens' | 'calls', over: AbortSignal): Promise<Ended> => {
      const giveUp = job.giveUp ? AbortSignal.any([job.giveUp, over]) : over
      return runOnHost({ ...job, machine: wired(job.machine, socket, end), giveUp })
    }
    return runTogether(
      (over) => start(first, 'listens', over),
      (over) => {
        const bootAfter = startOf(socket, over).then(() => wait(apartMs))
        return start({ ...second, bootAfter }, 'calls', over)
      },
    )
  })
}

/** Waits until the first host's QEMU has made the socket, to which the second host's connects. */
async function startOf(socket: string, giveUp: AbortSignal): Promise<void> {
  while (!existsSync(socket) && !giveUp.aborted) await wait(50)
}
