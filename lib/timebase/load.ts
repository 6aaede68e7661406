import { channel } from 'node:diagnostics_channel'
import { checkObject, checkOptionNames, wrongType, wrongValue } from '../checks.ts'
import { KvmError, TimebaseFrequencyError, TimebaseNotAppliedError } from '../errors.ts'
import { applyTimers } from './apply.ts'
import { idOf, idsOf, inherits, loads, published, publishedAsync, saves } from './channels.ts'
import { checkStillOpen, guestOf, savedOf } from './guest.ts'
import type { Guest } from './guest.ts'
import { inheritLoad, lastLoadOf, rememberLoad } from './last-load.ts'
import type { LastLoad } from './last-load.ts'
import { checkTimebaseState } from './state.ts'
import type { CheckedState, TimebaseState } from './state.ts'
import { checkPlanOptions, nextAligned, planChecked, planOptionNames } from './plan.ts'
import type { CheckedPlanOptions, PlanOptions, TimebasePlan, Writable } from './plan.ts'
import {
  checkOffsets,
  commonOffset,
  forgetGuest,
  offsetOf,
  readTimeRegisters,
  readTimeRegistersAsync,
  timerMemoryOf,
} from './time-registers.ts'
import type { TimeRegisters } from './time-registers.ts'
import { putTimers, timersAt } from './timers.ts'
import type { CheckedTimers, TimerIndex, TimerName, VcpuTimers } from './timers.ts'
import type { InheritOutcome, LoadOutcome } from './outcomes.ts'
import { waitForTimebase } from './wait.ts'
import { expiryToWrite } from '../kvm/decrementer.ts'
import { checkAsyncOptions } from '../kvm/async-options.ts'
import type { AsyncOptions } from '../kvm/async-options.ts'
import { checkNotHeld, heldAmong, hold } from '../kvm/held.ts'
import type { TimebaseSample } from '../kvm/system.ts'
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
 * Takes a guest's timebase from its host. The guest's vCPUs must be stopped: a call waits for one that
 * runs, and its time would go on after it was saved.
 *
 * One sample of the host's clocks serves all vCPUs, and the offset is what the kernel holds, never
 * one remembered: QEMU remembers the one it asked for, and its guests go back in time. All that is
 * remembered is the rounding error of the last load of the same {@link Vcpu} objects, and where it let
 * the guest go on: while an aligned load waits, the state is what the guest will start with.
 *
 *     const text = serializeTimebase(saveTimebase(vcpus))
 *
 * @param vcpus all vCPUs of the guest
 * @throws OneRegError ERR_NO_VCPUS, ERR_VCPUS_MISMATCH, ERR_KVM_CLOSED
 * @throws OneRegError ERR_KVM_UNAVAILABLE if the kernel has no TB_OFFSET (Linux 3.13, HV KVM)
 * @throws TimebaseDivergedError if the vCPUs' offsets differ
 * @throws KvmError
 * @example
 * ```ts
 * const text = serializeTimebase(saveTimebase(vcpus)) // with the vCPUs stopped
 * ```
 * @group Moving the timebase
 */
export function saveTimebase(vcpus: readonly Vcpu[]): TimebaseState {
  return published(
    saves,
    () => ({ vcpus: idsOf(vcpus) }),
    () => save(vcpus),
  )
}

function save(vcpus: readonly Vcpu[]): TimebaseState {
  const guest = guestOf(vcpus)
  try {
    return stateOf(guest, readTimeRegisters(guest))
  } finally {
    forgetGuest(guest)
  }
}

/**
 * {@link saveTimebase} for vCPUs of which one may still run: it waits for them on a thread of its own, and
 * takes the sample when all could be read. It does not stop them: a vCPU that is started again before the
 * promise resolves makes the state wrong.
 *
 * @param vcpus all vCPUs of the guest
 * @param options a signal that ends the waiting
 * @throws as {@link saveTimebase}, by rejecting; AbortError
 * @example
 * ```ts
 * const state = await saveTimebaseAsync(vcpus, { signal: AbortSignal.timeout(1000) })
 * ```
 * @group Moving the timebase
 */
export async function saveTimebaseAsync(
  vcpus: readonly Vcpu[],
  options: AsyncOptions = {},
): Promise<TimebaseState> {
  return publishedAsync(
    saves,
    () => ({ vcpus: idsOf(vcpus) }),
    () => saveAsync(vcpus, options),
  )
}

async function saveAsync(vcpus: readonly Vcpu[], options: AsyncOptions): Promise<TimebaseState> {
  const signal = checkAsyncOptions(options)
  const guest = guestOf(vcpus)
  const read = await readTimeRegistersAsync(guest, signal)
  checkStillOpen(guest)
  return stateOf(guest, read)
}

/**
 * The state of a guest whose time registers have been read. The clocks are sampled after them: reading
 * waits for a vCPU that still runs, and what a guest that is to be frozen does until the sample is not lost.
 */
function stateOf(guest: Guest, timers: TimeRegisters): TimebaseState {
  const sample = guest.system.sample()
  const offset = commonOffset(timers)
  const { timebase, timeOfDayNs, timebaseFrequency, uncertaintyNs, clock } = sample
  const last = lastLoadOf(guest.vcpus, offset)
  const state: Writable<TimebaseState> = {
    guestTimebase: notBehind(guest, offset, last, BigInt.asUintN(64, timebase + offset)),
    timeOfDayNs,
    timebaseFrequency,
    uncertaintyNs,
    offset,
    vcpus: savedTimers(timers),
  }
  const roundingTicks = last?.roundingTicks ?? 0n
  if (roundingTicks !== 0n) state.roundingTicks = roundingTicks
  if (clock !== undefined) state.clock = clock
  return state
}

/**
 * The guest's timebase now, or where a load left the guest if that is still to come: while an aligned load
 * waits for its instant, the guest has already read more than the host's timebase and the offset make.
 */
function notBehind(
  { system, fds }: Guest,
  offset: bigint,
  last: LastLoad | undefined,
  now: bigint,
): bigint {
  let latest = last === undefined ? now : laterOf(now, last.guestTimebase)
  for (const held of heldAmong(system.host.kernel, fds)) {
    if (held.offset === offset) latest = laterOf(latest, held.guestTimebase)
  }
  return latest
}

function laterOf(one: bigint, other: bigint): bigint {
  return BigInt.asIntN(64, other - one) > 0n ? other : one
}

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
  options: PlanOptions & { readonly align?: boolean } = {},
): LoadOutcome | Promise<LoadOutcome> {
  checkOptionNames('options', checkObject('options', options), [...planOptionNames, 'align'])
  const { align = false } = options
  if (typeof align !== 'boolean') throw wrongType('options.align', 'a boolean', align)
  const message = () => ({ vcpus: idsOf(vcpus), state })
  return align
    ? publishedAsync(loads, message, () => loadAligned(vcpus, state, options))
    : published(loads, message, () => load(checkLoad(vcpus, state, options)))
}

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
    await waitForTimebase(guest.system.host, start)
  } finally {
    release()
  }
  checkStillOpen(guest)
  return outcome
}

/**
 * Does all of {@link loadTimebase} that comes before the first write, and throws what it would throw.
 *
 * @returns the guest that the vCPUs are
 */
export function checkLoadable(
  vcpus: readonly Vcpu[],
  state: TimebaseState,
  options: PlanOptions,
): Guest {
  checkOptionNames('options', checkObject('options', options), planOptionNames)
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

/** The time registers before a load, and the host's clocks. */
function readBefore(guest: Guest): { before: TimeRegisters; sample: TimebaseSample } {
  return beforeWriting(() => {
    const before = readTimeRegisters(guest)
    checkOffsets(before)
    return { before, sample: guest.system.sample() }
  })
}

function load(checked: CheckedLoad, atInstant = (sample: TimebaseSample) => sample): LoadOutcome {
  const { options, state, guest } = checked
  const { system, vcpus } = guest
  const saved = checkSaved(checked)
  try {
    const { before, sample } = readBefore(guest)
    const plan = planChecked(state, atInstant(sample), options)
    const others = timerMemoryOf(system).others.bindTo(guest)
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

/**
 * Gives a vCPU that joins a running guest the timebase of another of its vCPUs: a new one starts with
 * offset 0. Reading the other waits while it runs; the new one must not run yet.
 *
 *     inheritTimebase(vcpus[0], vm.createVcpu(4))
 *
 * @param from a stopped vCPU of the guest, which has its timebase
 * @param to the new vCPU, which has not run yet
 * @throws OneRegError ERR_VCPUS_MISMATCH, ERR_KVM_CLOSED, ERR_VCPU_HELD, ERR_KVM_UNAVAILABLE, as
 *   {@link loadTimebase}
 * @throws TimebaseNotAppliedError if the kernel refused; it says whether all could be put back
 * @example
 * ```ts
 * const plugged = vm.createVcpu(4)
 * inheritTimebase(running, plugged) // before it runs
 * ```
 * @group Moving the timebase
 */
export function inheritTimebase(from: Vcpu, to: Vcpu): InheritOutcome {
  return published(
    inherits,
    () => ({ from: idOf(from), to: idOf(to) }),
    () => inheritNow(from, to),
  )
}

function inheritNow(from: Vcpu, to: Vcpu): InheritOutcome {
  // Both must be open before either is read.
  const both = guestOf([from, to])
  checkNotHeld(both.system.host.kernel, both.fds, both.ids)
  let offset: bigint
  try {
    offset = beforeWriting(() => offsetOf(readTimeRegisters(guestOf([from])), 0))
  } finally {
    forgetGuest(both)
  }
  return inherit(from, to, offset)
}

/**
 * {@link inheritTimebase} from a vCPU that may run: it waits for it on a thread of its own. The new vCPU
 * must not run yet.
 *
 * @param from a vCPU of the guest, which has its timebase
 * @param to the new vCPU, which has not run yet
 * @param options a signal that ends the waiting
 * @throws as {@link inheritTimebase}, by rejecting; AbortError
 * @example
 * ```ts
 * const plugged = vm.createVcpu(4)
 * await inheritTimebaseAsync(running, plugged)
 * ```
 * @group Moving the timebase
 */
export async function inheritTimebaseAsync(
  from: Vcpu,
  to: Vcpu,
  options: AsyncOptions = {},
): Promise<InheritOutcome> {
  return publishedAsync(
    inherits,
    () => ({ from: idOf(from), to: idOf(to) }),
    () => inheritAsync(from, to, options),
  )
}

async function inheritAsync(from: Vcpu, to: Vcpu, options: AsyncOptions): Promise<InheritOutcome> {
  const signal = checkAsyncOptions(options)
  const both = guestOf([from, to])
  checkNotHeld(both.system.host.kernel, both.fds, both.ids)
  let offset: bigint
  try {
    offset = offsetOf(await readTimeRegistersAsync(guestOf([from]), signal), 0)
  } catch (error) {
    return beforeWriting(() => {
      throw error
    })
  }
  const now = guestOf([from, to])
  checkNotHeld(now.system.host.kernel, now.fds, now.ids)
  return inherit(from, to, offset)
}

/** Writes the guest's offset and the present to a vCPU that joins it. */
function inherit(from: Vcpu, to: Vcpu, offset: bigint): InheritOutcome {
  const guest = guestOf([to])
  const { system } = guest
  try {
    const { before, sample } = readBefore(guest)
    const guestTimebase = BigInt.asUintN(64, sample.timebase + offset)
    const others = timerMemoryOf(system).others.bindTo(before.guest)
    putAll(others, [undefined], before, guestTimebase)
    checkStillOpen(before.guest)
    applyTimers(before, offset, others)
    inheritLoad(from, to, offset)
    return { offset, guestTimebase }
  } finally {
    forgetGuest(guest)
  }
}

function savedTimers(read: TimeRegisters): VcpuTimers[] {
  const { ids } = read.guest
  const saved: VcpuTimers[] = []
  for (let vcpu = 0; vcpu < ids.length; vcpu++) {
    const timers = timersAt(ids[vcpu] ?? -1, vcpu, read)
    saved.push(read.areComplete ? (timers as VcpuTimers) : withoutAbsent(timers))
  }
  return saved
}

function withoutAbsent(timers: CheckedTimers): VcpuTimers {
  const held = Object.entries(timers).filter(([, value]) => value !== undefined)
  return Object.fromEntries(held) as unknown as VcpuTimers
}

/**
 * Puts into `others` what a load writes to each vCPU besides the offset.
 *
 * @param before the registers of the vCPUs before the load: those that it lacks are left out
 * @returns the registers that were saved and that a vCPU lacks
 */
function putAll(
  others: TimeRegisters,
  saved: readonly (CheckedTimers | undefined)[],
  before: TimeRegisters,
  guestTimebase: bigint,
): LoadOutcome['skipped'] {
  const skipped: { vcpu: number; register: TimerName }[] = []
  const put = (register: TimerIndex, vcpu: number, ticks: bigint | undefined): void => {
    const index = others.index(register, vcpu)
    const isThere = before.areComplete || before.get(register, vcpu) !== undefined
    if (isThere && ticks !== undefined) {
      others.batch.set64(index, ticks)
      return
    }
    others.leaveOut(index)
    if (ticks !== undefined) skipped.push(others.owner(index))
  }
  for (let vcpu = 0; vcpu < saved.length; vcpu++) {
    const timers = saved[vcpu]
    const decExpiry = expiryToWrite(timers?.decExpiry ?? guestTimebase, guestTimebase)
    putTimers(timers, vcpu, decExpiry, put)
  }
  return skipped
}

/** Makes a failed call an error of the load, as it is once registers have been written. */
function beforeWriting<T>(step: () => T): T {
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

function publish(state: CheckedState, plan: TimebasePlan): void {
  if (!timebaseAdjust.hasSubscribers) return
  const difference = BigInt.asIntN(64, plan.offset - state.offset)
  const message: TimebaseAdjustMessage = {
    oldOffset: state.offset,
    newOffset: plan.offset,
    difference,
    seconds: Number(difference) / Number(state.timebaseFrequency),
  }
  timebaseAdjust.publish(message)
}
