import { setImmediate, setTimeout } from 'node:timers/promises'
import type { Host } from './host.ts'

/** Timers are late by a millisecond or two, so the rest is waited for by asking the clock. */
const TIMER_MARGIN_MS = 4

/** The last stretch, for which nothing else is done. */
const SPIN_MS = 1

/**
 * Waits until a host's timebase has reached a value, to within the time that it takes to read it. The
 * event loop is not held up for longer than a millisecond.
 */
export async function waitForTimebase(host: Host, timebase: bigint): Promise<void> {
  const frequency = Number(host.timebaseFrequency)
  const leftMs = () => (Number(BigInt.asIntN(64, timebase - host.timebase())) * 1000) / frequency
  for (let left = leftMs(); left > 0; left = leftMs()) {
    if (left > TIMER_MARGIN_MS) await setTimeout(left - TIMER_MARGIN_MS)
    else if (left > SPIN_MS) await setImmediate()
    else if (!spin(host, timebase)) await setImmediate()
  }
}

/** Whether the value was reached within the last stretch. */
function spin(host: Host, timebase: bigint): boolean {
  const end = performance.now() + SPIN_MS
  while (performance.now() < end) {
    if (BigInt.asIntN(64, timebase - host.timebase()) <= 0n) return true
  }
  return false
}
