import { checkU64 } from '../checks.ts'

/**
 * A monotonic clock in ns that a test moves by hand.
 *
 * @group Two hosts
 */
export class HandMovedTime {
  #now = 0n
  /** Returns the time that has passed, in ns. It is the option `time` of a `SoftwareClock`. */
  readonly read = (): bigint => this.#now

  /**
   * Lets time pass on all hosts that use this clock.
   *
   * @param ns a bigint, not negative. To step a host's wall clock back use `host.clock.setTimeOfDay`
   * @throws TypeError, RangeError
   */
  pass(ns: bigint): void {
    this.#now += checkU64('ns', ns)
  }
}
