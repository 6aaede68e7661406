import { checkU64 } from '../checks.ts'

/**
 * Time in ns that passes only when a test says so.
 *
 * @group Two hosts
 */
export class HandMovedTime {
  #now = 0n
  /** How much has passed, in ns: what a `SoftwareClock` takes as its `time`. */
  readonly read = (): bigint => this.#now

  /**
   * Lets time pass on all hosts that go by it.
   *
   * @param ns a bigint, from 0n on: what steps back is a host's wall clock, `host.clock.setTimeOfDay`
   * @throws TypeError, RangeError
   */
  pass(ns: bigint): void {
    this.#now += checkU64('ns', ns)
  }
}
