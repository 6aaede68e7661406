import { channel } from 'node:diagnostics_channel'
import { checkObject, checkOptionNames, wrongType, wrongValue } from '../checks.ts'
import { TimebaseFrequencyError } from '../errors.ts'
import { applyTimers } from './apply.ts'
import { putAll, readBefore } from './before-writing.ts'
import { arePublished, idsOf, loads, published, publishedAsync } from './channels.ts'
import { checkStillOpen, guestOf, savedOf } from './guest.ts'
import type { Guest } from './guest.ts'
import { rememberLoad } from './last-load.ts'
import type { LoadOutcome } from './outcomes.ts'
import { checkPlanOptions, nextAligned, planChecked, planOptionNames } from './plan.ts'
import type { CheckedPlanOptions, PlanOptions, TimebasePlan, Writable } from './plan.ts'
import { checkTimebaseState } from './state.ts'
import type { CheckedState, TimebaseState } from './state.ts'
import { bind } from './time-registers.ts'
import { forgetGuest, timerMemoryOf } from './read-guest.ts'
import type { CheckedTimers } from './timers.ts'
import { waitForTimebase } from './wait.ts'
import { checkNotHeld, hold } from '../kvm/held.ts'
import type { TimebaseSample } from '../kvm/sample.ts'
import type { Vcpu } from '../kvm/vcpu.ts'

/**
 * The options of an aligned load: see {@link loadTimebase}.
 *
 * @group Moving the timebase
 */
export interface AlignOptions extends PlanOptions {
  readonly downtime: 'freeze'
  /**
   * Wait, at most one step of 2^24 ticks and a millisecond, for the instant at which the guest can
   * go on where it stopped to the tick. The load is then a promise: start the guest when it resolves,
   * and not before.
   */
  readonly align: true
  /**
   * Is called when all registers are written, before the wait, with the host's timebase at which the guest can
   * go on, in ticks, u64. Threads of a monitor can wait for it in native code, with mftb, and start their vCPUs
   * more exactly than when the promise resolves, which is then some milliseconds after that instant. The vCPUs
   * count as held until it resolves: another load of them is refused.
   */
  readonly onWritten?: (startTimebase: bigint) => void
}

/** The options of which {@link AlignOptions} has more than {@link PlanOptions}. */
export interface MaybeAligned {
  readonly align?: boolean | undefined
  readonly onWritten?: AlignOptions['onWritten'] | undefined
}

export const alignOptionNames = ['align', 'onWritten']

/** @throws TypeError */
export function checkAlign({ align = false, onWritten }: MaybeAligned): MaybeAligned {
  if (typeof align !== 'boolean') throw wrongType('options.align', 'a boolean', align)
  if (onWritten === undefined) return { align }
  if (typeof onWritten !== 'function') {
    throw wrongType('options.onWritten', 'a function', onWritten)
  }
  if (!align) throw wrongValue('options.onWritten', 'left out without align', onWritten)
  return { align, onWritten }
}

/**
 * The message on the diagnostics channel `kvm-ppc-onereg:timebase-adjust`, which each load publishes.
 *
 * @group Observing
 */
export interface TimebaseAdjustMessage {
  /** TB_OFFSET on the source, in ticks, u64. */
  readonly oldOffset: bigint
  /** TB_OFFSET on this host, in ticks, u64. */
  readonly newOffset: bigint
  /** The new offset less the old one, in ticks, signed 64 bits. */
  readonly difference: bigint
  /** The difference in seconds. */
  readonly seconds: number
}

/**
 * The name of the diagnostics channel on which every load is published, as a {@link TimebaseAdjustMessage}.
 *
 * @group Observing
 */
export const TIMEBASE_ADJUST_CHANNEL = 'kvm-ppc-onereg:timebase-adjust'

const timebaseAdjust = channel(TIMEBASE_ADJUST_CHANNEL)

/**
 * Continues a saved guest timebase on this host. The vCPUs must not run yet, not even one: before
 * Linux 4.17 setting the offset beside a running sibling could hang the host (57b8daa70a17).
 *
 * All or nothing: every vCPU's TB_OFFSET is written and read back, then the other time registers; if a call
 * fails, all get back their old values. A vCPU of which no DEC_EXPIRY was saved gets the guest's timebase of
 * now, since kernels 5.17 to 6.0 can hang a guest without one. So does one whose DEC_EXPIRY has passed, which
 * bare-metal hosts would let fire late: start the guest within 2^31 ticks (4.2 s at 512 MHz).
 *
 *     const { advancedTicks } = loadTimebase(vcpus, parseTimebase(text))
 *
 * @param vcpus all vCPUs of the guest, with the ids that they had when it was saved
 * @param state the saved state, from {@link saveTimebase} or {@link parseTimebase}
 * @param options whether the pause counts, how to round, and the longest pause to accept
 * @returns with `align` a promise, which rejects with the errors below
 * @throws TypeError, RangeError for a state or an option of the wrong type or range
 * @throws OneRegError ERR_NO_VCPUS, ERR_VCPUS_MISMATCH, ERR_KVM_CLOSED
 * @throws OneRegError ERR_VCPU_HELD while an aligned load of one of these vCPUs waits
 * @throws OneRegError ERR_KVM_UNAVAILABLE if the kernel has no TB_OFFSET (Linux 3.13, HV KVM)
 * @throws TimebaseFrequencyError if this host's timebase has another frequency
 * @throws TimebaseDowntimeError if the guest was away for longer than `maxDowntimeNs`
 * @throws TimebaseClockError with `maxDowntimeNs`, if this host's wall clock is behind the saved time
 * @throws TimebaseNotAppliedError if the kernel refused; it says whether all could be put back
 * @throws OneRegError ERR_TIMEBASE_NOT_REACHED with `align`, if the host's timebase stands still or goes
 *   back: all is loaded, and the guest must not run before the instant that the message names
 * @example
 * ```ts
 * const state = parseTimebase(text)
 * const { offset } = loadTimebase(vcpus, state, { maxDowntimeNs: 10_000_000_000n })
 * ```
 * @group Moving the timebase
 */
export function loadTimebase(
  vcpus: readonly Vcpu[],
  state: TimebaseState,
  options: AlignOptions,
): Promise<LoadOutcome>
export function loadTimebase(
  vcpus: readonly Vcpu[],
  state: TimebaseState,
  options?: PlanOptions,
): LoadOutcome
export function loadTimebase(
  vcpus: readonly Vcpu[],
  state: TimebaseState,
  options: PlanOptions & MaybeAligned = {},
): LoadOutcome | Promise<LoadOutcome> {
  checkOptionNames('options', checkObject('options', options), loadOptionNames)
  const { align, onWritten } = checkAlign(options)
  const message = () => ({ vcpus: idsOf(vcpus), state })
  return align
    ? publishedAsync(loads, message, () => loadAligned(vcpus, state, options, onWritten))
    : published(loads, message, () => load(checkLoad(vcpus, state, options)))
}

const loadOptionNames = [...planOptionNames, ...alignOptionNames]

/** The arguments of {@link loadTimebase}, validated and copied. */
interface CheckedLoad {
  readonly options: CheckedPlanOptions
  readonly state: CheckedState
  readonly guest: Guest
}

function checkLoad(
  vcpus: readonly Vcpu[],
  state: TimebaseState,
  options: PlanOptions,
): CheckedLoad {
  return {
    options: checkPlanOptions(options),
    state: checkTimebaseState(state),
    // Last: reading the others can run code of the caller's, and that may close a vCPU.
    guest: guestOf(vcpus),
  }
}

/** How long before the aligned instant the registers are written at the latest: 1 ms at 512 MHz. */
const ALIGN_LEAD_TICKS = 1n << 19n

async function loadAligned(
  vcpus: readonly Vcpu[],
  state: TimebaseState,
  options: PlanOptions,
  onWritten: AlignOptions['onWritten'],
): Promise<LoadOutcome> {
  const checked = checkLoad(vcpus, state, options)
  const { downtime } = checked.options
  if (downtime !== 'freeze') throw wrongValue('options.downtime', "'freeze' with align", downtime)
  let start = 0n
  // The offset for an instant to come is known already: it is written now, and the guest is held
  // back until then, so that it notices neither the writing nor the wait.
  const outcome = load(checked, (sample) => {
    start = nextAligned(checked.state.guestTimebase, sample.timebase + ALIGN_LEAD_TICKS)
    return { ...sample, timebase: start }
  })
  const { guest } = checked
  const release = hold(guest.system.host.kernel, guest.descriptors, guest.fds, outcome)
  try {
    onWritten?.(start)
    await waitForTimebase(guest.system.host, start, onWritten === undefined)
  } finally {
    release()
  }
  checkStillOpen(guest)
  return outcome
}

/**
 * Does all of {@link loadTimebase} that comes before the first write, and throws what it would throw.
 *
 * @param options without names that are unknown, which the caller has checked
 * @returns the guest that the vCPUs are
 */
export function checkLoadable(
  vcpus: readonly Vcpu[],
  state: TimebaseState,
  options: PlanOptions,
): Guest {
  const checked = checkLoad(vcpus, state, options)
  const { guest } = checked
  try {
    checkSaved(checked)
    const { sample } = readBefore(guest)
    planChecked(checked.state, sample, checked.options)
    return guest
  } finally {
    forgetGuest(guest)
  }
}

/** The saved registers of each vCPU, once it is seen that this host can have them. */
function checkSaved({ state, guest }: CheckedLoad): readonly (CheckedTimers | undefined)[] {
  const { system } = guest
  const saved = savedOf(guest, state)
  if (state.timebaseFrequency !== system.timebaseFrequency) {
    throw new TimebaseFrequencyError(state.timebaseFrequency, system.timebaseFrequency)
  }
  checkNotHeld(system.host.kernel, guest.fds, guest.ids)
  return saved
}

function load(checked: CheckedLoad, atInstant = (sample: TimebaseSample) => sample): LoadOutcome {
  const { options, state, guest } = checked
  const { system, vcpus } = guest
  const saved = checkSaved(checked)
  try {
    const { before, sample } = readBefore(guest)
    const plan = planChecked(state, atInstant(sample), options)
    const others = bind(timerMemoryOf(system).others, guest)
    const skipped = putAll(others, saved, before, plan.guestTimebase)
    checkStillOpen(guest)
    applyTimers(before, plan.offset, others)
    rememberLoad(vcpus, plan)
    publish(state, plan)
    const { offset, guestTimebase, advancedTicks, roundingTicks, downtimeNs, uncertaintyNs } = plan
    const { clockDifferenceNs, errorNs } = plan
    // One by one: V8 takes longer for a spread than for the plan.
    const outcome: Writable<LoadOutcome> = {
      offset,
      guestTimebase,
      advancedTicks,
      roundingTicks,
      downtimeNs,
      clockDifferenceNs,
      uncertaintyNs,
      skipped,
    }
    if (errorNs !== undefined) outcome.errorNs = errorNs
    return outcome
  } finally {
    forgetGuest(guest)
  }
}

function publish(state: CheckedState, plan: TimebasePlan): void {
  if (!timebaseAdjust.hasSubscribers || !arePublished()) return
  const difference = BigInt.asIntN(64, plan.offset - state.offset)
  const message: TimebaseAdjustMessage = {
    oldOffset: state.offset,
    newOffset: plan.offset,
    difference,
    seconds: Number(difference) / Number(state.timebaseFrequency),
  }
  timebaseAdjust.publish(message)
}
