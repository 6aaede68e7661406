import { checkObject, checkOptionNames, checkU64, isU64, wrongType } from '../checks.ts'

/** TIME_ERROR of include/uapi/linux/timex.h: the clock is not synchronised. */
export const TIME_ERROR = 5

/**
 * How accurate a host's wall clock is, by its kernel (adjtimex), to which chronyd, ntpd or systemd-timesyncd
 * reports it.
 *
 * @group Moving the timebase
 */
export interface WallClock {
  /** Whether the clock is synchronised. If not, `maxErrorNs` means nothing. */
  readonly synchronised: boolean
  /** The most by which the clock can be wrong, in ns (`maxerror`). */
  readonly maxErrorNs: bigint
}

const NS_PER_US = 1_000n

/**
 * Converts the result of {@link Kernel.clockState}; undefined for an error.
 *
 * @param state the result of the call
 * @param maxErrorUs the number that the call put into memory
 */
export function wallClockOf(state: number, maxErrorUs: bigint): WallClock | undefined {
  const maxErrorNs = maxErrorUs * NS_PER_US
  if (state < 0 || !isU64(maxErrorNs)) return undefined
  return { synchronised: state !== TIME_ERROR, maxErrorNs }
}

/**
 * Checks and copies a caller's {@link WallClock}.
 *
 * @throws TypeError, RangeError
 */
export function checkWallClock(name: string, value: unknown): WallClock {
  const given = checkObject(name, value) as Partial<WallClock>
  checkOptionNames(name, given, ['synchronised', 'maxErrorNs'])
  const { synchronised, maxErrorNs } = given
  if (typeof synchronised !== 'boolean') {
    throw wrongType(`${name}.synchronised`, 'a boolean', synchronised)
  }
  return { synchronised, maxErrorNs: checkU64(`${name}.maxErrorNs`, maxErrorNs) }
}
