import { KvmError, unavailable } from '../errors.ts'
import type { Kernel } from '../kernel/kernel.ts'
import { wallClockOf } from '../kernel/wall-clock.ts'
import type { WallClock } from '../kernel/wall-clock.ts'

const NS_PER_SECOND = 1_000_000_000n

/**
 * The widest bracket of a sample, in ticks. A wider one means that the second reading of the timebase
 * was less than the first, modulo 2^64.
 */
const HALF_WIDTH_LIMIT = 1n << 62n

/**
 * A host's two clocks at one instant, from {@link Host.sample}.
 *
 * @group Moving the timebase
 */
export interface TimebaseSample {
  /** The host's timebase, in ticks, u64. */
  readonly timebase: bigint
  /** CLOCK_REALTIME, in ns since the epoch, signed 64 bits. */
  readonly timeOfDayNs: bigint
  /** Ticks per second, in Hz. */
  readonly timebaseFrequency: bigint
  /** How far apart the instants of the two readings can be, in ns. */
  readonly uncertaintyNs: bigint
  /** How accurate the wall clock is, if the host's kernel tells it. */
  readonly clock?: WallClock
}

/** Memory into which the kernel writes its clocks. A host uses it again for each sample. */
export class ClockWords {
  /** The timebase, the time of day, and half the width of the bracket. */
  readonly sample = new BigUint64Array(3)
  readonly maxErrorUs = new BigUint64Array(1)
}

/**
 * The timebase and the wall clock of one instant.
 *
 * @param words memory that is written to
 * @throws OneRegError ERR_KVM_UNAVAILABLE on a processor without a timebase, or with one that goes back
 * @throws KvmError
 */
export function takeSample(
  kernel: Kernel,
  timebaseFrequency: bigint,
  words: ClockWords,
): TimebaseSample {
  const result = kernel.sample(words.sample)
  if (result < 0) throw new KvmError(result, { operation: 'clock_gettime' })
  const timebase = words.sample[0] ?? 0n
  const timeOfDay = words.sample[1] ?? 0n
  const halfWidth = words.sample[2] ?? 0n
  if (halfWidth >= HALF_WIDTH_LIMIT) {
    throw unavailable(
      'unsteady-timebase',
      "This host's timebase went back while it was read, so no time can be kept by it",
    )
  }
  const timeOfDayNs = BigInt.asIntN(64, timeOfDay)
  // Rounded up: an uncertainty is a bound.
  const uncertaintyNs = (halfWidth * NS_PER_SECOND + timebaseFrequency - 1n) / timebaseFrequency
  const clock = wallClock(kernel, words)
  return clock === undefined
    ? { timebase, timeOfDayNs, timebaseFrequency, uncertaintyNs }
    : { timebase, timeOfDayNs, timebaseFrequency, uncertaintyNs, clock }
}

/** How accurate the wall clock is; undefined if that is not known, which is not an error. */
function wallClock(kernel: Kernel, { maxErrorUs }: ClockWords): WallClock | undefined {
  if (kernel.clockState === undefined) return undefined
  return wallClockOf(kernel.clockState(maxErrorUs), maxErrorUs[0] ?? 0n)
}
