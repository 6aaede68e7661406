import {
  checkI64,
  checkObject,
  checkOptionNames,
  checkU64,
  checkWord,
  outOfRange,
} from './checks.ts'
import { TimebaseDowntimeError, TimebaseFrequencyError } from './errors.ts'

/**
 * TB_OFFSET reaches the processor through TBU40, which holds the upper 40 bits of the timebase, so
 * only multiples of this many ticks can be had (Linux 93b0f4dc29c5).
 */
export const TIMEBASE_OFFSET_STEP = 1n << 24n

const NS_PER_SECOND = 1_000_000_000n

/** A host's two clocks at one instant, from {@link Host.sample}. */
export interface TimebaseSample {
  /** The host's timebase, in ticks, u64. */
  readonly timebase: bigint
  /** CLOCK_REALTIME, in ns since the epoch, signed 64 bits. */
  readonly timeOfDayNs: bigint
  /** Ticks per second, in Hz. */
  readonly timebaseFrequency: bigint
  /** How far apart the instants of the two readings can be, in ns. */
  readonly uncertaintyNs: bigint
}

/** A guest's timebase at one instant, from {@link saveTimebase}. */
export interface TimebasePoint {
  /** What the guest would have read at that instant, in ticks, u64. */
  readonly guestTimebase: bigint
  /** CLOCK_REALTIME of that instant on the source, in ns since the epoch, signed 64 bits. */
  readonly timeOfDayNs: bigint
  /** Ticks per second, in Hz. */
  readonly timebaseFrequency: bigint
  /** How far apart the instants of the two readings can be, in ns. */
  readonly uncertaintyNs: bigint
}

export interface PlanOptions {
  /**
   * `'advance'`, the default: the guest's time went on while it was away, by the two hosts' wall
   * clocks. `'freeze'`: it goes on where it stopped.
   */
  readonly downtime?: 'advance' | 'freeze'
  /**
   * `'nearest'`, the default: the nearest multiple of 2^24 ticks with which the guest's timebase does
   * not go back; `'up'`: the next one, so that the guest is never behind the wanted value.
   */
  readonly rounding?: 'nearest' | 'up'
  /** Refuse a downtime longer than this, in ns: a sign of clocks that are not synchronised. */
  readonly maxDowntimeNs?: bigint
}

/** The offset for a guest's vCPUs on their new host, and what it means for the guest. */
export interface TimebasePlan {
  /** TB_OFFSET, in ticks: u64, a multiple of 2^24. */
  readonly offset: bigint
  /** What the guest would read at the instant of the sample, in ticks, u64. */
  readonly guestTimebase: bigint
  /** How far that is ahead of the saved guest timebase, in ticks: never below 0. */
  readonly advancedTicks: bigint
  /** How far that is ahead of the wanted value, in ticks: below 0 if behind it. */
  readonly roundingTicks: bigint
  /** How long the guest was away by the two wall clocks, in ns: 0 if the second is behind the first. */
  readonly downtimeNs: bigint
  /** How far off `downtimeNs` can be for the way the clocks were read, in ns; not how far the two hosts' clocks disagree. */
  readonly uncertaintyNs: bigint
}

/**
 * The offset that continues a saved guest timebase on a host whose clocks were just sampled:
 *
 *     offset = saved guest timebase - host timebase + max(host time - saved time, 0) · frequency
 *
 * rounded to a multiple of 2^24 such that the guest's timebase does not go back. All of it is
 * modulo 2^64. The rule is that of the QEMU patch "spapr: support time base offset migration"
 * (A. Kardashevskiy, 2013), with ns for its µs.
 *
 * @throws TypeError, RangeError for a value of the wrong type or range
 * @throws TimebaseFrequencyError if the two frequencies differ
 * @throws TimebaseDowntimeError if the downtime is longer than `maxDowntimeNs`
 */
export function planTimebase(
  state: TimebasePoint,
  sample: TimebaseSample,
  options: PlanOptions = {},
): TimebasePlan {
  checkTimebasePoint('state', state)
  checkSample(sample)
  const { downtime, rounding, maxDowntimeNs } = checkPlanOptions(options)
  const frequency = sample.timebaseFrequency
  if (state.timebaseFrequency !== frequency) {
    throw new TimebaseFrequencyError(state.timebaseFrequency, frequency)
  }
  const passed = sample.timeOfDayNs - state.timeOfDayNs
  const downtimeNs = passed > 0n ? passed : 0n
  if (maxDowntimeNs !== undefined && downtimeNs > maxDowntimeNs) {
    throw new TimebaseDowntimeError(downtimeNs, maxDowntimeNs)
  }
  const wantedTicks = downtime === 'freeze' ? 0n : (downtimeNs * frequency) / NS_PER_SECOND
  const wantedOffset = u64(state.guestTimebase - sample.timebase + wantedTicks)
  const roundingTicks = roundingFor(wantedOffset, wantedTicks, rounding)
  const offset = u64(wantedOffset + roundingTicks)
  return {
    offset,
    guestTimebase: u64(sample.timebase + offset),
    advancedTicks: wantedTicks + roundingTicks,
    roundingTicks,
    downtimeNs,
    uncertaintyNs: state.uncertaintyNs + sample.uncertaintyNs,
  }
}

/** The ticks from the wanted offset to the multiple that is taken. */
function roundingFor(wantedOffset: bigint, wantedTicks: bigint, rounding: string): bigint {
  const above = wantedOffset % TIMEBASE_OFFSET_STEP
  if (above === 0n) return 0n
  const isBelowNearer = above < TIMEBASE_OFFSET_STEP / 2n
  // Rounding down by more than the guest's advance would take it behind what it has seen.
  if (rounding === 'nearest' && isBelowNearer && above <= wantedTicks) return -above
  return TIMEBASE_OFFSET_STEP - above
}

function u64(value: bigint): bigint {
  return BigInt.asUintN(64, value)
}

/** @throws TypeError, RangeError */
export function checkTimebasePoint(name: string, value: unknown): void {
  const point = checkObject(name, value) as Partial<TimebasePoint>
  checkU64(`${name}.guestTimebase`, point.guestTimebase)
  checkClock(name, point)
}

function checkSample(value: unknown): void {
  const sample = checkObject('sample', value) as Partial<TimebaseSample>
  checkU64('sample.timebase', sample.timebase)
  checkClock('sample', sample)
}

function checkClock(name: string, value: Partial<TimebaseSample>): void {
  checkI64(`${name}.timeOfDayNs`, value.timeOfDayNs)
  if (checkU64(`${name}.timebaseFrequency`, value.timebaseFrequency) === 0n) {
    throw outOfRange(`${name}.timebaseFrequency`, 'from 1 to 2^64 - 1', value.timebaseFrequency)
  }
  checkU64(`${name}.uncertaintyNs`, value.uncertaintyNs)
}

/** @throws TypeError, RangeError */
export function checkPlanOptions(
  options: PlanOptions,
): Required<Pick<PlanOptions, 'downtime' | 'rounding'>> & { maxDowntimeNs: bigint | undefined } {
  checkObject('options', options)
  checkOptionNames('options', options, ['downtime', 'rounding', 'maxDowntimeNs'])
  const { downtime = 'advance', rounding = 'nearest', maxDowntimeNs } = options
  checkWord('options.downtime', downtime, ['advance', 'freeze'])
  checkWord('options.rounding', rounding, ['nearest', 'up'])
  if (maxDowntimeNs !== undefined) checkU64('options.maxDowntimeNs', maxDowntimeNs)
  return { downtime, rounding, maxDowntimeNs }
}
