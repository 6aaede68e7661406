import { setImmediate, setTimeout } from 'node:timers/promises'
import { OneRegError } from '../errors.ts'
import type { Host } from '../kvm/host.ts'

/** Timers are late by a millisecond or two: for the last stretch the clock is asked again and again. */
const TIMER_MARGIN_MS = 4

/** The longest sleep: then the clock is asked again, as it may have been set back. */
const LONGEST_TIMER_MS = 1_000

/** How long after the instant a wait that need not be exact ends: it would disturb the threads that start then. */
const CLEARANCE_MS = 2

/** How long before the instant the event loop is blocked. */
const SPIN_MS = 1

/** How late the timebase may reach the value, on a busy machine, before that is an error. */
const PATIENCE_MS = 10_000

/**
 * Waits until a host's timebase has reached a value.
 *
 * @param isExact whether to wait to within the time that it takes to read the timebase, for which the event
 *   loop is held up, though not for longer than a millisecond. Otherwise only timers are waited for: threads
 *   that start the guest get the processor
 * @throws OneRegError ERR_TIMEBASE_NOT_REACHED if the timebase stands still or goes back, or can no
 *   longer be read
 */
export async function waitForTimebase(host: Host, timebase: bigint, isExact = true): Promise<void> {
  const frequency = Number(host.timebaseFrequency)
  const leftMs = () =>
    (Number(BigInt.asIntN(64, timebase - read(host, timebase))) * 1000) / frequency
  let left = leftMs()
  const limit = performance.now() + left + PATIENCE_MS
  for (; left > 0; left = leftMs()) {
    if (performance.now() > limit) throw notReached(timebase, `it is ${left} ms behind`)
    if (!isExact) await setTimeout(Math.min(left + CLEARANCE_MS, LONGEST_TIMER_MS))
    else if (left > TIMER_MARGIN_MS)
      await setTimeout(Math.min(left - TIMER_MARGIN_MS, LONGEST_TIMER_MS))
    else if (left > SPIN_MS) await setImmediate()
    else if (!spin(host, timebase)) await setImmediate()
  }
}

/** Whether the value was reached within the last stretch. */
function spin(host: Host, timebase: bigint): boolean {
  const end = performance.now() + SPIN_MS
  while (performance.now() < end) {
    if (BigInt.asIntN(64, timebase - read(host, timebase)) <= 0n) return true
  }
  return false
}

function read(host: Host, wanted: bigint): bigint {
  try {
    return host.timebase()
  } catch (error) {
    if (host.closed) throw error
    throw notReached(wanted, (error as Error).message, error)
  }
}

function notReached(timebase: bigint, problem: string, cause?: unknown): OneRegError {
  return new OneRegError(
    'ERR_TIMEBASE_NOT_REACHED',
    `The guest's timebase is loaded on all vCPUs for the instant at which the host's reads ${timebase}, which it did not come to in time: ${problem}. Do not run the guest before that instant`,
    { cause },
  )
}
