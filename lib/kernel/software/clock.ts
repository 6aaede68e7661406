import { checkI64, checkU64, outOfRange, wrongType } from '../../checks.ts'
import { checkWallClock, TIME_ERROR } from '../wall-clock.ts'
import type { WallClock } from '../wall-clock.ts'

const NS_PER_SECOND = 1_000_000_000n

/**
 * The initial values of a model's clocks, and the clock that drives them.
 *
 * @group Kernels and batches
 */
export interface SoftwareClockOptions {
  /** Ticks per second, in Hz. The default is 512000000n, as on POWER servers. */
  readonly timebaseFrequency?: bigint
  /** The host's timebase now, in ticks, u64. */
  readonly timebase?: bigint
  /** The host's wall clock now, in ns since the epoch. The default is this machine's. */
  readonly timeOfDayNs?: bigint
  /**
   * The monotonic clock, in ns, that drives both clocks. The default is this machine's. A test that moves
   * time itself gives a function that returns a variable; hosts with the same function run at the same pace.
   */
  readonly time?: () => bigint
  /** How accurate the wall clock is. By default it is synchronised, with an error of 0. */
  readonly wallClock?: WallClock
}

/**
 * A host's timebase and wall clock, each with its own origin, both driven by one monotonic clock.
 *
 * @group Kernels and batches
 */
export class SoftwareClock {
  readonly timebaseFrequency: bigint
  readonly #time: () => bigint
  readonly #wallClock: WallClock
  // The value `shown` of each clock at the time `at` of `#time`.
  #timebase = { shown: 0n, at: 0n }
  #timeOfDay = { shown: 0n, at: 0n }

  constructor(options: SoftwareClockOptions) {
    const {
      timebaseFrequency = 512_000_000n,
      timebase = 0n,
      time = () => process.hrtime.bigint(),
      wallClock = { synchronised: true, maxErrorNs: 0n },
    } = options
    if (checkU64('timebaseFrequency', timebaseFrequency) === 0n) {
      throw outOfRange('timebaseFrequency', 'from 1 to 2^64 - 1', timebaseFrequency)
    }
    if (typeof time !== 'function') throw wrongType('time', 'a function', time)
    this.timebaseFrequency = timebaseFrequency
    this.#time = time
    this.#wallClock = checkWallClock('wallClock', wallClock)
    this.setTimebase(timebase)
    this.setTimeOfDay(options.timeOfDayNs ?? machineTimeNs())
  }

  /** The host's timebase, in ticks, u64. */
  timebase(): bigint {
    return this.sample().timebase
  }

  /** Reads both clocks at one instant: the timebase in ticks, u64, the wall clock in ns since the epoch. */
  sample(): { timebase: bigint; timeOfDayNs: bigint } {
    const now = this.#time()
    const ticks = ((now - this.#timebase.at) * this.timebaseFrequency) / NS_PER_SECOND
    return {
      timebase: BigInt.asUintN(64, this.#timebase.shown + ticks),
      timeOfDayNs: this.#timeOfDay.shown + now - this.#timeOfDay.at,
    }
  }

  /** @internal Implements {@link Kernel.clockState}. */
  state(into: BigUint64Array): number {
    const { synchronised, maxErrorNs } = this.#wallClock
    // Rounded up, since the kernel counts in µs and the error is an upper bound.
    into[0] = (maxErrorNs + 999n) / 1_000n
    return synchronised ? 0 : TIME_ERROR
  }

  /**
   * Sets the timebase, as if the host had been started at another time.
   *
   * @param ticks the new value, u64
   */
  setTimebase(ticks: bigint): void {
    this.#timebase = { shown: checkU64('timebase', ticks), at: this.#time() }
  }

  /**
   * Sets the wall clock, forwards or back.
   *
   * @param ns the new wall clock, ns since the epoch
   */
  setTimeOfDay(ns: bigint): void {
    this.#timeOfDay = { shown: checkI64('timeOfDayNs', ns), at: this.#time() }
  }
}

/** This machine's wall clock less its monotonic one, in ns, read once: all models here agree on it. */
let wallLessMonotonic: bigint | undefined

function machineTimeNs(): bigint {
  wallLessMonotonic ??= differenceOfClocks(() => process.hrtime.bigint(), Date.now)
  return process.hrtime.bigint() + wallLessMonotonic
}

/**
 * A wall clock less a monotonic one, in ns, by the narrowest of eight readings: the process may be
 * held up while it reads.
 *
 * @param monotonic reads the monotonic clock, in ns
 * @param wall reads the wall clock, in ms since the epoch
 * @internal
 */
export function differenceOfClocks(monotonic: () => bigint, wall: () => number): bigint {
  const readings = Array.from({ length: 8 }, () => {
    const before = monotonic()
    const wallNs = BigInt(wall()) * 1_000_000n
    const width = monotonic() - before
    return { width, difference: wallNs - before - width / 2n }
  })
  return readings.reduce((one, other) => (other.width < one.width ? other : one)).difference
}
