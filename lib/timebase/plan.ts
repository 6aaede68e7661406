import {
  checkI64,
  checkObject,
  checkOptionNames,
  checkU64,
  checkWord,
  outOfRange,
  wrongType,
} from '../checks.ts'
import { TimebaseClockError, TimebaseDowntimeError, TimebaseFrequencyError } from '../errors.ts'
import { checkWallClock } from '../kernel/wall-clock.ts'
import type { WallClock } from '../kernel/wall-clock.ts'
import type { TimebaseSample } from '../kvm/sample.ts'

/**
 * TB_OFFSET reaches the processor through TBU40, which holds the upper 40 bits of the timebase, so
 * only multiples of this many ticks can be had (Linux 93b0f4dc29c5).
 *
 * @group Moving the timebase
 */
export const TIMEBASE_OFFSET_STEP = 1n << 24n

const NS_PER_SECOND = 1_000_000_000n

/** Modulo 2^64 a guest cannot tell an advance of this many ticks from a step back by as many. */
const HALF_RANGE = 1n << 63n

/**
 * How far ahead of its true time a guest may be for the rounding of earlier loads, in ticks: 2^40, which is
 * 36 minutes at 512 MHz. A load rounds by less than a step, and only loads that freeze the guest, one after
 * the other, add up: it takes 65,536 of them. From there on no more is remembered.
 */
const ROUNDING_LIMIT = 1n << 40n

/**
 * A guest's timebase at one instant, from {@link saveTimebase}.
 *
 * @group Moving the timebase
 */
export interface TimebasePoint {
  /** The guest's timebase at that instant, in ticks, u64. */
  readonly guestTimebase: bigint
  /** CLOCK_REALTIME of that instant on the source, in ns since the epoch, signed 64 bits. */
  readonly timeOfDayNs: bigint
  /** Ticks per second, in Hz. */
  readonly timebaseFrequency: bigint
  /** How far apart the instants of the two readings can be, in ns. */
  readonly uncertaintyNs: bigint
  /**
   * How far the guest's timebase is ahead of where it would be but for the rounding of earlier loads,
   * in ticks, from -2^24 to 2^40; 0 if it is left out. With it the errors of many moves do not add up.
   */
  readonly roundingTicks?: bigint
  /** How accurate the source's wall clock was, if its kernel told it. */
  readonly clock?: WallClock
}

/**
 * How a guest's timebase is to go on: see {@link planTimebase}.
 *
 * @group Moving the timebase
 */
export interface PlanOptions {
  /**
   * With `'advance'`, the default, the guest's time went on while it was away, by the two hosts' wall clocks.
   * With `'freeze'` it goes on where it stopped.
   */
  readonly downtime?: 'advance' | 'freeze'
  /**
   * `'nearest'`, the default, is the nearest step of 2^24 ticks with which the guest's timebase does not go
   * back. `'up'` is the next step, so that the guest is never behind the wanted value.
   */
  readonly rounding?: 'nearest' | 'up'
  /**
   * Refuse a downtime longer than this, in ns, also with `'freeze'`: it is a sign of clocks that are not
   * synchronised. So is a wall clock that is behind the time at which the guest was saved, which is refused
   * unless the known errors of both clocks explain it. With this limit the guest does not go ahead by more than
   * the limit and a step: a larger rounding error of earlier loads is left to the next load.
   */
  readonly maxDowntimeNs?: bigint
}

/**
 * The offset for a guest's vCPUs on their new host, and what it means for the guest.
 *
 * @group Moving the timebase
 */
export interface TimebasePlan {
  /** TB_OFFSET, in ticks, u64: a whole number of steps. */
  readonly offset: bigint
  /** The guest's timebase at the instant of the sample, in ticks, u64. */
  readonly guestTimebase: bigint
  /** How far that is ahead of the saved guest timebase, in ticks: never below 0. */
  readonly advancedTicks: bigint
  /** How far that is ahead of where it would be without rounding, in ticks: below 0 if behind it. */
  readonly roundingTicks: bigint
  /** How long the guest was away by the two wall clocks, in ns: 0 if the second is behind the first. */
  readonly downtimeNs: bigint
  /**
   * The wall clock of the destination now less that of the source when the guest was saved, in ns. Below 0, the
   * hosts' clocks disagree by that and the pause.
   */
  readonly clockDifferenceNs: bigint
  /**
   * By how much `downtimeNs` can be wrong because of the way in which the clocks were read, in ns. That the two
   * hosts' clocks disagree is not part of it.
   */
  readonly uncertaintyNs: bigint
  /**
   * By how much the guest's time can be wrong in all, in ns: by rounding, by the way in which the clocks were
   * read, and by the errors of both hosts' wall clocks. With `'advance'` it is present only if both clocks are
   * known to be synchronised. With `'freeze'` it is the rounding alone.
   */
  readonly errorNs?: bigint
}

/** An object while it is being made. */
export type Writable<T> = { -readonly [K in keyof T]: T[K] }

/**
 * The offset that continues a saved guest timebase on a host whose clocks were just sampled:
 *
 *     offset = saved guest timebase - host timebase + max(host time - saved time, 0) · frequency
 *
 * rounded to a multiple of 2^24 such that the guest's timebase does not go back. All of it is
 * modulo 2^64. The rule comes from the QEMU patch "spapr: support time base offset migration"
 * (A. Kardashevskiy, 2013), which counts in µs where this counts in ns.
 *
 *     const { offset } = planTimebase(state, host.sample(), { downtime: 'freeze' })
 *
 * @param state the saved guest timebase and the time of day at that instant
 * @param sample the destination's clocks, from `host.sample()`
 * @param options whether the pause counts, how to round, and the longest pause to accept
 * @throws TypeError, RangeError for a value of the wrong type or range
 * @throws TimebaseFrequencyError if the two frequencies differ
 * @throws TimebaseDowntimeError if the downtime is longer than `maxDowntimeNs`, or so long that the
 *   guest could not tell it from a step back
 * @throws TimebaseClockError with `maxDowntimeNs`, if the sample's wall clock is behind the saved time
 * @example
 * ```ts
 * const { offset } = planTimebase(state, host.sample(), { downtime: 'freeze' })
 * ```
 * @group Moving the timebase
 */
export function planTimebase(
  state: TimebasePoint,
  sample: TimebaseSample,
  options: PlanOptions = {},
): TimebasePlan {
  const point = checkTimebasePoint('state', state)
  const now = checkSample(sample)
  checkOptionNames('options', checkObject('options', options), planOptionNames)
  return planChecked(point, now, checkPlanOptions(options))
}

/** {@link planTimebase} for arguments that are checked already. */
export function planChecked(
  point: CheckedPoint,
  now: CheckedSample,
  { downtime, rounding, maxDowntimeNs }: CheckedPlanOptions,
): TimebasePlan {
  const { guestTimebase, timebaseFrequency: frequency, roundingTicks = 0n } = point
  if (frequency !== now.timebaseFrequency) {
    throw new TimebaseFrequencyError(frequency, now.timebaseFrequency)
  }
  const clockDifferenceNs = now.timeOfDayNs - point.timeOfDayNs
  const downtimeNs = clockDifferenceNs > 0n ? clockDifferenceNs : 0n
  const uncertaintyNs = point.uncertaintyNs + now.uncertaintyNs
  const clocksErrorNs = errorOfClocks(point.clock, now.clock)
  if (maxDowntimeNs !== undefined) {
    // No more than the longest downtime: a guest's clock may not be wrong by more in this way than in that.
    const toleranceNs = uncertaintyNs + atMost(maxDowntimeNs, clocksErrorNs ?? 0n)
    if (-clockDifferenceNs > toleranceNs) {
      throw new TimebaseClockError(-clockDifferenceNs, toleranceNs)
    }
  }
  if (maxDowntimeNs !== undefined && downtimeNs > maxDowntimeNs) {
    throw new TimebaseDowntimeError(downtimeNs, maxDowntimeNs)
  }
  const isFrozen = downtime === 'freeze'
  const passedTicks = isFrozen ? 0n : (downtimeNs * frequency) / NS_PER_SECOND
  // A frozen guest goes on where it stopped, not where it should have stopped.
  const owedTicks = isFrozen ? 0n : passedTicks - roundingTicks
  const limitTicks = maxDowntimeNs && (maxDowntimeNs * frequency) / NS_PER_SECOND
  const wantedTicks = limitTicks !== undefined && owedTicks > limitTicks ? limitTicks : owedTicks
  // The advances with which the offset is a multiple of 2^24 are this one and every 2^24th from it.
  const possible = modulo(now.timebase - guestTimebase, TIMEBASE_OFFSET_STEP)
  const advancedTicks = chooseAdvance(wantedTicks, possible, rounding)
  if (advancedTicks >= HALF_RANGE) {
    throw new TimebaseDowntimeError(downtimeNs)
  }
  const offset = u64(guestTimebase - now.timebase + advancedTicks)
  const roundedTicks = atMost(ROUNDING_LIMIT, advancedTicks - passedTicks + roundingTicks)
  const plan: Writable<TimebasePlan> = {
    offset,
    guestTimebase: u64(now.timebase + offset),
    advancedTicks,
    roundingTicks: roundedTicks,
    downtimeNs,
    clockDifferenceNs,
    uncertaintyNs,
  }
  const roundingNs = nsOf(roundedTicks, frequency)
  // Fields are added, not spread: a spread takes longer than the whole plan.
  if (isFrozen) plan.errorNs = roundingNs
  else if (clocksErrorNs !== undefined) plan.errorNs = roundingNs + uncertaintyNs + clocksErrorNs
  return plan
}

/** The sum of the errors of two wall clocks, in ns; undefined if one of them is not known. */
function errorOfClocks(one?: WallClock, other?: WallClock): bigint | undefined {
  if (!one?.synchronised || !other?.synchronised) return undefined
  return one.maxErrorNs + other.maxErrorNs
}

/** The time that a number of ticks takes, without its sign, rounded up. */
function nsOf(ticks: bigint, frequency: bigint): bigint {
  const size = ticks < 0n ? -ticks : ticks
  return (size * NS_PER_SECOND + frequency - 1n) / frequency
}

/**
 * Chooses one of the advances `least`, `least` + 2^24, `least` + 2 · 2^24 and so on. None is below 0, since
 * the guest must not go back.
 */
function chooseAdvance(wanted: bigint, least: bigint, rounding: 'nearest' | 'up'): bigint {
  if (wanted <= least) return least
  const above = modulo(wanted - least, TIMEBASE_OFFSET_STEP)
  const isBelowNearer = above < TIMEBASE_OFFSET_STEP / 2n
  if (above === 0n || (rounding === 'nearest' && isBelowNearer)) return wanted - above
  return wanted - above + TIMEBASE_OFFSET_STEP
}

/**
 * The next host timebase from `from` on at which a guest can go on at exactly `guestTimebase`, because the
 * offset is then a whole number of steps.
 */
export function nextAligned(guestTimebase: bigint, from: bigint): bigint {
  return u64(from + modulo(guestTimebase - from, TIMEBASE_OFFSET_STEP))
}

function atMost(limit: bigint, value: bigint): bigint {
  return value > limit ? limit : value
}

/** The remainder of a division that rounds down: from 0 to `divisor - 1`, also for a negative value. */
function modulo(value: bigint, divisor: bigint): bigint {
  return ((value % divisor) + divisor) % divisor
}

function u64(value: bigint): bigint {
  return BigInt.asUintN(64, value)
}

/** A checked copy of a caller's {@link TimebasePoint}. */
export interface CheckedPoint extends Omit<TimebasePoint, 'roundingTicks' | 'clock'> {
  readonly roundingTicks: bigint | undefined
  readonly clock: WallClock | undefined
}

/** @throws TypeError, RangeError */
export function checkTimebasePoint(name: string, value: unknown): CheckedPoint {
  const point = checkObject(name, value) as Partial<TimebasePoint>
  const { guestTimebase, roundingTicks, clock } = point
  if (typeof guestTimebase === 'string') {
    const expected = 'a bigint, as parseTimebase makes it of text and JSON.parse does not'
    throw wrongType(`${name}.guestTimebase`, expected, guestTimebase)
  }
  if (roundingTicks !== undefined) checkRounding(`${name}.roundingTicks`, roundingTicks)
  return {
    guestTimebase: checkU64(`${name}.guestTimebase`, guestTimebase),
    timeOfDayNs: checkI64(`${name}.timeOfDayNs`, point.timeOfDayNs),
    timebaseFrequency: checkFrequency(`${name}.timebaseFrequency`, point.timebaseFrequency),
    uncertaintyNs: checkU64(`${name}.uncertaintyNs`, point.uncertaintyNs),
    roundingTicks,
    clock: clock === undefined ? undefined : checkWallClock(`${name}.clock`, clock),
  }
}

function checkRounding(name: string, value: unknown): void {
  const ticks = checkI64(name, value)
  if (ticks < -TIMEBASE_OFFSET_STEP || ticks > ROUNDING_LIMIT) {
    throw outOfRange(name, 'from -2^24 to 2^40', ticks)
  }
}

/** A {@link TimebaseSample}; what is not known of its clock is undefined. */
type CheckedSample = Omit<TimebaseSample, 'clock'> & { readonly clock?: WallClock | undefined }

function checkSample(value: unknown): CheckedSample {
  const sample = checkObject('sample', value) as Partial<TimebaseSample>
  const { clock } = sample
  return {
    timebase: checkU64('sample.timebase', sample.timebase),
    timeOfDayNs: checkI64('sample.timeOfDayNs', sample.timeOfDayNs),
    timebaseFrequency: checkFrequency('sample.timebaseFrequency', sample.timebaseFrequency),
    uncertaintyNs: checkU64('sample.uncertaintyNs', sample.uncertaintyNs),
    clock: clock === undefined ? undefined : checkWallClock('sample.clock', clock),
  }
}

function checkFrequency(name: string, value: unknown): bigint {
  const frequency = checkU64(name, value)
  if (frequency === 0n) throw outOfRange(name, 'from 1 to 2^64 - 1', frequency)
  return frequency
}

export const planOptionNames = ['downtime', 'rounding', 'maxDowntimeNs']

/** {@link PlanOptions} with their defaults. */
export interface CheckedPlanOptions extends Required<Pick<PlanOptions, 'downtime' | 'rounding'>> {
  readonly maxDowntimeNs: bigint | undefined
}

/** @throws TypeError, RangeError */
export function checkPlanOptions(options: PlanOptions): CheckedPlanOptions {
  const { downtime = 'advance', rounding = 'nearest', maxDowntimeNs } = options
  checkWord('options.downtime', downtime, ['advance', 'freeze'])
  checkWord('options.rounding', rounding, ['nearest', 'up'])
  if (maxDowntimeNs !== undefined) checkU64('options.maxDowntimeNs', maxDowntimeNs)
  return { downtime, rounding, maxDowntimeNs }
}
