import type { RunningGuest } from './guest.ts'
import { ahead, until } from './trial.ts'
import type { Trial } from './trial.ts'

/**
 * Lets a watching guest run until each vCPU has read its timebase anew, and stops it. Each must have read the
 * host's timebase of that time with the offset that its TB_OFFSET holds, and no value below an earlier one.
 */
export async function run(guest: RunningGuest, trial: Trial): Promise<void> {
  const { host, vcpus } = guest
  const { problems } = trial
  const before = vcpus.map((_, vcpu) => guest.watched(vcpu))
  const offsets = vcpus.map((vcpu) => vcpu.get('TB_OFFSET'))
  const began = host.timebase()
  guest.start()
  try {
    await until(
      'a vCPU has not read its timebase',
      // The first reading may be one from before it was stopped.
      () => before.every(({ reads }, vcpu) => guest.watched(vcpu).reads >= reads + 2n),
      trial,
    )
  } finally {
    guest.stop()
  }
  const ended = host.timebase()
  for (const [vcpu, { backwardSteps }] of before.entries()) {
    const seen = guest.watched(vcpu)
    const steps = seen.backwardSteps - backwardSteps
    problems.expect(
      steps === 0n,
      () => `vCPU ${vcpu} read a value below the one before, by ${seen.worstBackwardStep} ticks`,
    )
    const offset = offsets[vcpu] ?? 0n
    const behind = ahead(began + offset, seen.last)
    const before = ahead(seen.last, ended + offset)
    problems.expect(
      behind <= 0n && before <= 0n,
      () =>
        `vCPU ${vcpu} read a timebase ${behind > 0n ? `${behind} ticks behind` : `${before} ticks ahead of`} ` +
        'the one that its TB_OFFSET gives',
    )
  }
}
