import { channel } from 'node:diagnostics_channel'
import { checkObject, wrongType, wrongValue } from './checks.ts'
import { KvmError, TimebaseFrequencyError, TimebaseNotAppliedError } from './errors.ts'
import { commonOffset, guestOf, offsetOf, savedOf } from './guest.ts'
import { checkTimebaseState } from './state.ts'
import type { TimebaseState, VcpuTimers } from './state.ts'
import { checkPlanOptions, nextAligned, planTimebase } from './timebase.ts'
import type { PlanOptions, TimebasePlan, TimebaseSample } from './timebase.ts'
import {
  applyTimers,
  DEC_EXPIRY,
  PURR,
  readTimers,
  SPURR,
  TimerEntries,
  timerNames,
  VTB,
} from './timers.ts'
import type { TimerName, Timers } from './timers.ts'
import { waitForTimebase } from './wait.ts'
import type { Vcpu } from './vcpu.ts'

/** What {@link loadTimebase} did. */
export interface LoadOutcome extends TimebasePlan {
  /** Registers that were left out since this host's kernel lacks them. */
  readonly skipped: readonly { readonly vcpu: number; readonly register: TimerName }[]
}

export interface AlignOptions extends PlanOptions {
  readonly downtime: 'freeze'
  /**
   * Wait, at most one period of 2^24 ticks and a millisecond, for the instant at which the guest can
   * go on where it stopped to the tick. The load is then a promise: start the guest when it resolves,
   * and not before.
   */
  readonly align: true
}

/** What {@link inheritTimebase} did. */
export interface InheritOutcome {
  /** TB_OFFSET, in ticks, u64. */
  readonly offset: bigint
  /** The guest's timebase just before it was written, in ticks, u64. */
  readonly guestTimebase: bigint
}

/** What is published on the diagnostics channel `kvm-ppc-onereg:timebase-adjust` for each load. */
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

export const TIMEBASE_ADJUST_CHANNEL = 'kvm-ppc-onereg:timebase-adjust'

const timebaseAdjust = channel(TIMEBASE_ADJUST_CHANNEL)

/**
 * Takes a guest's timebase from its host. The guest's vCPUs must be stopped: a call waits for one that
 * runs, and its time would go on after it was saved.
 *
 * One sample of the host's clocks serves all vCPUs, and the offset is what the kernel holds, never
 * one remembered: QEMU remembers the one it asked for, and its guests go back in time. All that is
 * remembered is the rounding error of the last load of the same {@link Vcpu} objects.
 *
 * @param vcpus all vCPUs of the guest
 * @throws OneRegError ERR_NO_VCPUS, ERR_VCPUS_MISMATCH, ERR_KVM_CLOSED
 * @throws OneRegError ERR_KVM_UNAVAILABLE if the kernel has no TB_OFFSET (Linux 3.13, HV KVM)
 * @throws TimebaseDivergedError if the vCPUs' offsets differ
 * @throws KvmError
 */
export function saveTimebase(vcpus: readonly Vcpu[]): TimebaseState {
  const guest = guestOf(vcpus)
  const timers = readTimers(guest)
  // After them: reading waits for a vCPU that still runs, and what a guest that is to be frozen does
  // until the sample is not lost.
  const sample = guest.host.sample()
  const offset = commonOffset(timers)
  const { timebase, timeOfDayNs, timebaseFrequency, uncertaintyNs } = sample
  const roundingTicks = roundingOf(vcpus, offset)
  return {
    guestTimebase: BigInt.asUintN(64, timebase + offset),
    timeOfDayNs,
    timebaseFrequency,
    uncertaintyNs,
    ...(roundingTicks !== 0n && { roundingTicks }),
    offset,
    vcpus: vcpus.map(({ id }, vcpu) => savedTimers(id, timers, vcpu)),
  }
}

/**
 * Continues a saved guest timebase on this host. The vCPUs must not run yet, not even one: before
 * Linux 4.17 setting the offset beside a running sibling could hang the host (57b8daa70a17).
 *
 * All or nothing: every vCPU's TB_OFFSET is written and read back, then DEC_EXPIRY, VTB, PURR and
 * SPURR; if a step fails, all are put back as they were. A vCPU of which no DEC_EXPIRY was saved gets
 * the guest's timebase of now, since kernels 5.17 to 6.0 can hang a guest without one.
 *
 * @param vcpus all vCPUs of the guest, with the ids that they had when it was saved
 * @returns with `align` a promise, which rejects with the errors below
 * @throws TypeError, RangeError for a state or an option of the wrong type or range
 * @throws OneRegError ERR_NO_VCPUS, ERR_VCPUS_MISMATCH, ERR_KVM_CLOSED
 * @throws OneRegError ERR_KVM_UNAVAILABLE if the kernel has no TB_OFFSET (Linux 3.13, HV KVM)
 * @throws TimebaseFrequencyError if this host's timebase has another frequency
 * @throws TimebaseDowntimeError if the guest was away for longer than `maxDowntimeNs`
 * @throws TimebaseNotAppliedError if the kernel refused; it says whether all could be put back
 * @throws OneRegError ERR_TIMEBASE_NOT_REACHED with `align`, if the host's timebase stands still or goes
 *   back: all is loaded, and the guest must not run before the instant that the message names
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
  const { align = false, ...planOptions } = checkObject('options', options) as typeof options
  if (typeof align !== 'boolean') throw wrongType('options.align', 'a boolean', align)
  return align ? loadAligned(vcpus, state, planOptions) : load(vcpus, state, planOptions)
}

/** How long before the aligned instant the registers are written at the latest: 1 ms at 512 MHz. */
const ALIGN_LEAD_TICKS = 1n << 19n

async function loadAligned(
  vcpus: readonly Vcpu[],
  state: TimebaseState,
  options: PlanOptions,
): Promise<LoadOutcome> {
  if (options.downtime !== 'freeze') {
    throw wrongValue('options.downtime', "'freeze' with align", options.downtime)
  }
  let start = 0n
  // The offset for an instant to come is known already: it is written now, and the guest is held
  // back until then, so that it notices neither the writing nor the wait.
  const outcome = load(vcpus, state, options, (sample) => {
    start = nextAligned(state.guestTimebase, sample.timebase + ALIGN_LEAD_TICKS)
    return { ...sample, timebase: start }
  })
  const [first] = vcpus
  if (first !== undefined) await waitForTimebase(first.host, start)
  return outcome
}

function load(
  vcpus: readonly Vcpu[],
  state: TimebaseState,
  options: PlanOptions,
  atInstant = (sample: TimebaseSample) => sample,
): LoadOutcome {
  const guest = guestOf(vcpus)
  const { host } = guest
  checkTimebaseState(state)
  checkPlanOptions(options)
  const saved = savedOf(vcpus, state)
  if (state.timebaseFrequency !== host.timebaseFrequency) {
    throw new TimebaseFrequencyError(state.timebaseFrequency, host.timebaseFrequency)
  }
  const { before, sample } = beforeWriting(() => {
    const before = readTimers(guest)
    vcpus.forEach((_, vcpu) => offsetOf(before, vcpu))
    return { before, sample: host.sample() }
  })
  const plan = planTimebase(state, atInstant(sample), options)
  const { wanted, skipped } = wantedTimers(plan, saved, before)
  applyTimers(before, plan.offset, wanted)
  for (const vcpu of vcpus) vcpu.lastLoad = plan
  publish(state, plan)
  return { ...plan, skipped }
}

/**
 * Gives a vCPU that joins a running guest the timebase of another of its vCPUs: a new one starts with
 * offset 0. Reading the other waits while it runs; the new one must not run yet.
 *
 * @throws OneRegError ERR_VCPUS_MISMATCH, ERR_KVM_CLOSED, ERR_KVM_UNAVAILABLE, as {@link loadTimebase}
 * @throws TimebaseNotAppliedError if the kernel refused; it says whether all could be put back
 */
export function inheritTimebase(from: Vcpu, to: Vcpu): InheritOutcome {
  // Not only for the check: both are to be open before either is read.
  const { host } = guestOf([from, to])
  const { offset, before, sample } = beforeWriting(() => {
    const offset = offsetOf(readTimers(guestOf([from])), 0)
    const before = readTimers(guestOf([to]))
    offsetOf(before, 0)
    return { offset, before, sample: host.sample() }
  })
  const guestTimebase = BigInt.asUintN(64, sample.timebase + offset)
  const wanted = new TimerEntries(1)
  if (before.get(DEC_EXPIRY, 0) !== undefined) wanted.add(DEC_EXPIRY, 0, guestTimebase)
  applyTimers(before, offset, wanted)
  return { offset, guestTimebase }
}

function roundingOf(vcpus: readonly Vcpu[], offset: bigint): bigint {
  for (const { lastLoad } of vcpus) if (lastLoad?.offset === offset) return lastLoad.roundingTicks
  return 0n
}

function savedTimers(id: number, timers: Timers, vcpu: number): VcpuTimers {
  const saved: { -readonly [F in keyof VcpuTimers]: VcpuTimers[F] } = { id }
  const decExpiry = timers.get(DEC_EXPIRY, vcpu)
  const vtb = timers.get(VTB, vcpu)
  const purr = timers.get(PURR, vcpu)
  const spurr = timers.get(SPURR, vcpu)
  if (decExpiry !== undefined) saved.decExpiry = decExpiry
  if (vtb !== undefined) saved.vtb = vtb
  if (purr !== undefined) saved.purr = purr
  if (spurr !== undefined) saved.spurr = spurr
  return saved
}

/** The fields of a saved vCPU, and which of {@link timerNames} each is; the offset is the whole guest's. */
const fields = [
  [DEC_EXPIRY, 'decExpiry'],
  [VTB, 'vtb'],
  [PURR, 'purr'],
  [SPURR, 'spurr'],
] as const

/** What to write to which vCPU besides the offset, and what a vCPU lacks: it could not be read before. */
function wantedTimers(
  { guestTimebase }: TimebasePlan,
  saved: readonly (VcpuTimers | undefined)[],
  before: Timers,
): { wanted: TimerEntries; skipped: LoadOutcome['skipped'] } {
  const { vcpus } = before.guest
  const wanted = new TimerEntries(fields.length * vcpus.length)
  const skipped: { vcpu: number; register: TimerName }[] = []
  for (const [register, field] of fields) {
    for (let vcpu = 0; vcpu < vcpus.length; vcpu++) {
      const asked = saved[vcpu]?.[field]
      const value = register === DEC_EXPIRY ? (asked ?? guestTimebase) : asked
      if (value === undefined) continue
      if (before.get(register, vcpu) !== undefined) wanted.add(register, vcpu, value)
      else skipped.push({ vcpu: vcpus[vcpu]?.id ?? -1, register: timerNames[register] ?? 'VTB' })
    }
  }
  return { wanted, skipped }
}

/** A call that fails while nothing is written yet fails the load in the same way as a later one. */
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

function publish(state: TimebaseState, plan: TimebasePlan): void {
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
