import type { TimebasePlan } from './plan.ts'
import type { TimerName } from './timers.ts'

/**
 * The result of {@link loadTimebase}: the plan that was carried out, and what it left out.
 *
 * @group Moving the timebase
 */
export interface LoadOutcome extends TimebasePlan {
  /** Saved registers that were not written, because this host's kernel lacks them. */
  readonly skipped: readonly { readonly vcpu: number; readonly register: TimerName }[]
}

/**
 * The result of {@link inheritTimebase}.
 *
 * @group Moving the timebase
 */
export interface InheritOutcome {
  /** TB_OFFSET, in ticks, u64. */
  readonly offset: bigint
  /** The guest's timebase just before it was written, in ticks, u64. */
  readonly guestTimebase: bigint
}
