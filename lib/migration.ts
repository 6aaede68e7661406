import { channel } from 'node:diagnostics_channel'
import { wrongType } from './checks.ts'
import {
  KvmError,
  OneRegError,
  TimebaseDivergedError,
  TimebaseFrequencyError,
  TimebaseNotAppliedError,
  unavailable,
} from './errors.ts'
import type { Host } from './host.ts'
import { checkTimebaseState } from './state.ts'
import type { TimebaseState, VcpuTimers } from './state.ts'
import { checkPlanOptions, planTimebase } from './timebase.ts'
import type { PlanOptions, TimebasePlan } from './timebase.ts'
import { applyTimers, readTimers } from './timers.ts'
import type { TimerName, Timers } from './timers.ts'
import { Vcpu } from './vcpu.ts'

/** What {@link loadTimebase} did. */
export interface LoadOutcome extends TimebasePlan {
  /** Registers that were left out since this host's kernel lacks them. */
  readonly skipped: readonly { readonly vcpu: number; readonly register: TimerName }[]
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
 * By vCPU, the offset that a load wrote and the rounding error that the guest has had since. Saves use
 * the error, so that it does not add up over many moves, as long as the kernel holds that offset.
 */
const loaded = new WeakMap<Vcpu, { readonly offset: bigint; readonly roundingTicks: bigint }>()

/**
 * Takes a guest's timebase from its host. The guest's vCPUs must be stopped: a call waits for one that
 * runs, and its time would go on after it was saved.
 *
 * One sample of the host's clocks serves all vCPUs, and the offset is what the kernel holds, never
 * one remembered: QEMU remembers the one it asked for, and its guests go back in time.
 *
 * @param vcpus all vCPUs of the guest
 * @throws OneRegError ERR_NO_VCPUS, ERR_VCPUS_MISMATCH, ERR_KVM_CLOSED
 * @throws OneRegError ERR_KVM_UNAVAILABLE if the kernel has no TB_OFFSET (Linux 3.13, HV KVM)
 * @throws TimebaseDivergedError if the vCPUs' offsets differ
 * @throws KvmError
 */
export function saveTimebase(vcpus: readonly Vcpu[]): TimebaseState {
  const host = hostOf(vcpus)
  const timers = readTimers(vcpus)
  const offset = commonOffset(vcpus, timers)
  const { timebase, timeOfDayNs, timebaseFrequency, uncertaintyNs } = host.sample()
  const roundingTicks = roundingOf(vcpus, offset)
  return {
    guestTimebase: BigInt.asUintN(64, timebase + offset),
    timeOfDayNs,
    timebaseFrequency,
    uncertaintyNs,
    ...(roundingTicks !== 0n && { roundingTicks }),
    offset,
    vcpus: vcpus.map(({ id }, index) => savedTimers(id, timers[index] ?? {})),
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
 * @throws TypeError, RangeError for a state or an option of the wrong type or range
 * @throws OneRegError ERR_NO_VCPUS, ERR_VCPUS_MISMATCH, ERR_KVM_CLOSED
 * @throws OneRegError ERR_KVM_UNAVAILABLE if the kernel has no TB_OFFSET (Linux 3.13, HV KVM)
 * @throws TimebaseFrequencyError if this host's timebase has another frequency
 * @throws TimebaseDowntimeError if the guest was away for longer than `maxDowntimeNs`
 * @throws TimebaseNotAppliedError if the kernel refused; it says whether all could be put back
 */
export function loadTimebase(
  vcpus: readonly Vcpu[],
  state: TimebaseState,
  options: PlanOptions = {},
): LoadOutcome {
  const host = hostOf(vcpus)
  checkTimebaseState(state)
  checkPlanOptions(options)
  checkAllThere(vcpus, state)
  if (state.timebaseFrequency !== host.timebaseFrequency) {
    throw new TimebaseFrequencyError(state.timebaseFrequency, host.timebaseFrequency)
  }
  const { before, sample } = beforeWriting(() => {
    const before = readTimers(vcpus)
    before.forEach((timers, index) => offsetOf(vcpus[index]?.id, timers))
    return { before, sample: host.sample() }
  })
  const plan = planTimebase(state, sample, options)
  const saved = new Map(state.vcpus.map((timers) => [timers.id, timers]))
  const asked = vcpus.map(({ id }) => wantedTimers(plan, saved.get(id)))
  const { wanted, skipped } = whatThereIs(vcpus, asked, before)
  applyTimers(vcpus, before, wanted)
  for (const vcpu of vcpus) loaded.set(vcpu, plan)
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
  const host = hostOf([from, to])
  const { offset, before, sample } = beforeWriting(() => {
    const [theirs = {}, before = {}] = readTimers([from, to])
    offsetOf(to.id, before)
    return { offset: offsetOf(from.id, theirs), before, sample: host.sample() }
  })
  const guestTimebase = BigInt.asUintN(64, sample.timebase + offset)
  const { wanted } = whatThereIs([to], [{ TB_OFFSET: offset, DEC_EXPIRY: guestTimebase }], [before])
  applyTimers([to], [before], wanted)
  return { offset, guestTimebase }
}

/** The host of all these vCPUs, which must be one guest's as far as can be seen. */
function hostOf(vcpus: unknown): Host {
  if (!Array.isArray(vcpus)) throw wrongType('vcpus', 'an array of vCPUs', vcpus)
  let host: Host | undefined
  const ids = new Set<number>()
  for (const vcpu of vcpus as unknown[]) {
    if (!(vcpu instanceof Vcpu)) throw wrongType('a vCPU', 'a Vcpu', vcpu)
    host ??= vcpu.host
    if (vcpu.host !== host) {
      throw new OneRegError('ERR_VCPUS_MISMATCH', 'The vCPUs belong to different hosts')
    }
    if (ids.has(vcpu.id)) {
      throw new OneRegError('ERR_VCPUS_MISMATCH', `vCPU ${vcpu.id} was given twice`)
    }
    ids.add(vcpu.id)
  }
  if (host === undefined) throw new OneRegError('ERR_NO_VCPUS', 'No vCPUs were given')
  return host
}

/** A vCPU that is left out would run on with another offset than its siblings. */
function checkAllThere(vcpus: readonly Vcpu[], state: TimebaseState): void {
  const given = new Set(vcpus.map(({ id }) => id))
  const absent = state.vcpus.filter(({ id }) => !given.has(id)).map(({ id }) => id)
  if (absent.length === 0) return
  throw new OneRegError(
    'ERR_VCPUS_MISMATCH',
    `The state was saved from vCPUs that were not given to load it: ${absent.join(', ')}`,
  )
}

function offsetOf(id: number | undefined, { TB_OFFSET }: Timers): bigint {
  if (TB_OFFSET !== undefined) return TB_OFFSET
  throw unavailable(
    `vCPU ${id ?? '?'} has no KVM_REG_PPC_TB_OFFSET: it needs Linux 3.13 with HV KVM on POWER6 or later; PR KVM, BookE and other processors do not have it`,
  )
}

function commonOffset(vcpus: readonly Vcpu[], timers: readonly Timers[]): bigint {
  const offsets = vcpus.map(({ id }, index) => ({
    vcpu: id,
    offset: offsetOf(id, timers[index] ?? {}),
  }))
  const [first] = offsets
  if (offsets.some(({ offset }) => offset !== first?.offset))
    throw new TimebaseDivergedError(offsets)
  return first?.offset ?? 0n
}

function roundingOf(vcpus: readonly Vcpu[], offset: bigint): bigint {
  const [first] = vcpus.map((vcpu) => loaded.get(vcpu)).filter((plan) => plan?.offset === offset)
  return first?.roundingTicks ?? 0n
}

function savedTimers(id: number, { DEC_EXPIRY, VTB, PURR, SPURR }: Timers): VcpuTimers {
  return {
    id,
    ...(DEC_EXPIRY !== undefined && { decExpiry: DEC_EXPIRY }),
    ...(VTB !== undefined && { vtb: VTB }),
    ...(PURR !== undefined && { purr: PURR }),
    ...(SPURR !== undefined && { spurr: SPURR }),
  }
}

function wantedTimers({ offset, guestTimebase }: TimebasePlan, saved?: VcpuTimers): Timers {
  return {
    TB_OFFSET: offset,
    DEC_EXPIRY: saved?.decExpiry ?? guestTimebase,
    ...(saved?.vtb !== undefined && { VTB: saved.vtb }),
    ...(saved?.purr !== undefined && { PURR: saved.purr }),
    ...(saved?.spurr !== undefined && { SPURR: saved.spurr }),
  }
}

/** Of the registers asked for, those that the vCPU has: it could read them before. */
function whatThereIs(
  vcpus: readonly Vcpu[],
  asked: readonly Timers[],
  before: readonly Timers[],
): { wanted: Timers[]; skipped: LoadOutcome['skipped'] } {
  const skipped: { vcpu: number; register: TimerName }[] = []
  const wanted = vcpus.map(({ id }, index) => {
    const there = Object.entries(asked[index] ?? {}).filter(([name]) => {
      const has = before[index]?.[name as TimerName] !== undefined
      if (!has) skipped.push({ vcpu: id, register: name as TimerName })
      return has
    })
    return Object.fromEntries(there)
  })
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
