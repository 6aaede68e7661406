import { checkObject, checkOptionNames, checkU64, isU64, wrongType } from '../checks.ts'

/** TIME_ERROR of include/uapi/linux/timex.h: the clock is not synchronised. */
export const TIME_ERROR = 5

/**
 * How right a host's wall clock is, as its kernel knows (adjtimex): chronyd, ntpd and systemd-timesyncd
 * tell it.
 *
 * @group Moving the timebase
 */
export interface WallClock {
  /** Whether something synchronises it. If not, `maxErrorNs` says nothing. */
  readonly synchronised: boolean
  /** The most that it can be wrong by, in ns (`maxerror`). */
  readonly maxErrorNs: bigint
}

const NS_PER_US = 1_000n

/**
 * What {@link Kernel.clockState} says, in the words of the library; undefined for an error.
 *
 * @param state the result of the call
 * @param maxErrorUs what the call left in memory
 */
export function wallClockOf(state: number, maxErrorUs: bigint): WallClock | undefined {
  const maxErrorNs = maxErrorUs * NS_PER_US
  if (state < 0 || !isU64(maxErrorNs)) return undefined
  return { synchronised: state !== TIME_ERROR, maxErrorNs }
}

/**
 * A copy of a {@link WallClock} that a caller handed in, checked.
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
