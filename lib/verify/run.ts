import type { RunningGuest, Watched } from './guest.ts'
import { ahead, until } from './trial.ts'
import type { Trial } from './trial.ts'

/** A watching guest that runs, and what was known when it was started. */
export interface Running {
  readonly guest: RunningGuest
  readonly before: readonly Watched[]
  /** The TB_OFFSET that each vCPU held. */
  readonly offsets: readonly bigint[]
  /** A timebase of the host before which no vCPU ran. */
  readonly began: bigint
}

/**
 * Starts a watching guest, now or when the host's timebase has reached a value. The registers of its vCPUs
 * cannot be read then, until {@link end}.
 */
export function start(guest: RunningGuest, at?: bigint): Running {
  const before = guest.vcpus.map((_, vcpu) => guest.watched(vcpu))
  const offsets = guest.vcpus.map((vcpu) => vcpu.get('TB_OFFSET'))
  const began = at ?? guest.host.timebase()
  guest.start(at)
  return { guest, before, offsets, began }
}

/**
 * Lets a watching guest run until each vCPU has read its timebase anew, and stops it. Each must have read the
 * host's timebase of that time with the offset that its TB_OFFSET held, and no value below an earlier one.
 */
export async function end(running: Running, trial: Trial): Promise<void> {
  const { guest, before, offsets, began } = running
  const { problems } = trial
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
  const ended = guest.host.timebase()
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

/** Starts a watching guest and ends it. */
export async function run(guest: RunningGuest, trial: Trial): Promise<void> {
  await end(start(guest), trial)
}
