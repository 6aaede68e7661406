import { KvmError, TimebaseNotAppliedError } from '../errors.ts'
import type { Guest } from './guest.ts'
import type { LoadOutcome } from './outcomes.ts'
import { checkOffsets, readTimeRegisters } from './read-guest.ts'
import { leaveOutAbsent, putTimers } from './time-registers.ts'
import type { TimeRegisters } from './time-registers.ts'
import type { CheckedTimers } from './timers.ts'
import { expiryToWrite } from '../kvm/decrementer.ts'
import type { TimebaseSample } from '../kvm/sample.ts'

/** The time registers before a load, and the host's clocks. */
export function readBefore(guest: Guest): { before: TimeRegisters; sample: TimebaseSample } {
  return beforeWriting(() => {
    const before = readTimeRegisters(guest)
    checkOffsets(before)
    return { before, sample: guest.system.sample() }
  })
}

/**
 * Puts into `others` what a load writes to each vCPU besides the offset.
 *
 * @param before the registers of the vCPUs before the load: those that it lacks are left out
 * @returns the registers that were saved and that a vCPU lacks
 */
export function putAll(
  others: TimeRegisters,
  saved: readonly (CheckedTimers | undefined)[],
  before: TimeRegisters,
  guestTimebase: bigint,
): LoadOutcome['skipped'] {
  for (let vcpu = 0; vcpu < saved.length; vcpu++) {
    const timers = saved[vcpu]
    const decExpiry = expiryToWrite(timers?.decExpiry ?? guestTimebase, guestTimebase)
    putTimers(others, vcpu, timers, decExpiry)
  }
  return leaveOutAbsent(others, before)
}

/** Makes a failed call an error of the load, as it is once registers have been written. */
export function beforeWriting<T>(step: () => T): T {
  try {
    return step()
  } catch (error) {
    if (!(error instanceof KvmError)) throw error
    throw new TimebaseNotAppliedError({
      vcpu: error.vcpu,
      register: error.register,
      problem: error.message,
      written: false,
      notRestored: [],
      cause: error,
    })
  }
}
