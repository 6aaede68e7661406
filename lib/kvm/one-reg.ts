import type { OneRegBatch } from '../kernel/batch.ts'
import { errnos } from '../errno.ts'

// A signal that comes in while the kernel works on a call can end it with EINTR, and nothing is done
// then: the call is made again. KVM_CREATE_VM gives it whenever a signal is pending (mm_take_all_locks
// in mm/mmap.c), as of `node --cpu-prof`, whose profiler sends one every millisecond. A vCPU's ioctl
// gives it to a process that is being killed only (mutex_lock_killable in kvm_vcpu_ioctl), so making
// that one again does no harm. close(2) is never made twice: the number is free after the first, and
// may be another file's.

/** How often a call is made that is interrupted each time; then EINTR is its error. QEMU never gives up. */
export const INTERRUPTED_LIMIT = 100

/** A call to the kernel, made until no signal interrupts it. */
export function uninterrupted(call: () => number): number {
  let result = call()
  for (let left = INTERRUPTED_LIMIT - 1; left > 0 && result === -errnos.EINTR; left--) {
    result = call()
  }
  return result
}

/**
 * The calls of a batch once more, for as long as one of them was interrupted. All of them, since it
 * may matter which register is written first. For after a failure: where there is none nobody asks.
 *
 * @param result what the batch gave the first time
 * @returns what it gave the last time
 */
export function repeatInterrupted(
  batch: OneRegBatch,
  result: number,
  call: (batch: OneRegBatch) => number,
): number {
  let last = result
  for (let left = INTERRUPTED_LIMIT - 1; left > 0 && last < 0 && wasInterrupted(batch); left--) {
    last = call(batch)
  }
  return last
}

/** {@link repeatInterrupted} off the JavaScript thread, the first time included. */
export async function uninterruptedAsync(
  batch: OneRegBatch,
  call: (batch: OneRegBatch) => Promise<number>,
): Promise<number> {
  let result = await call(batch)
  for (let left = INTERRUPTED_LIMIT - 1; left > 0 && result >= 0 && wasInterrupted(batch); left--) {
    result = await call(batch)
  }
  return result
}

function wasInterrupted({ results, used }: OneRegBatch): boolean {
  return results.subarray(0, used).includes(-errnos.EINTR)
}
