import { checkWords } from '../checks.ts'
import { Host } from '../kvm/host.ts'
import type { Kernel } from '../kernel/kernel.ts'
import { NativeKernel } from '../kernel/native.ts'
import { SoftwareClock } from '../kernel/software/clock.ts'
import type { SoftwareClockOptions } from '../kernel/software/clock.ts'
import { FailingKernel } from './failing-kernel.ts'

/**
 * A host whose clocks a test can move, and whose calls it can make fail.
 *
 * @group Two hosts
 */
export class TestHost extends Host {
  /** `host.kernel.fail(…)` makes calls fail. */
  declare readonly kernel: FailingKernel
  /** `host.clock.setTimebase(ticks)` and `setTimeOfDay(ns)` set the clocks of this host only. */
  readonly clock: SoftwareClock

  /** @param kernel a `SoftwareKernel`, or another kernel with such clocks */
  constructor(kernel: Kernel & { readonly clock: SoftwareClock }) {
    super(new FailingKernel(kernel))
    this.clock = kernel.clock
  }
}

/** The real kernel with its vCPUs and registers, but with clocks that a test can move. */
export class ClockedNativeKernel extends NativeKernel {
  readonly clock: SoftwareClock

  constructor(options: SoftwareClockOptions) {
    super()
    this.clock = new SoftwareClock(options)
  }

  override timebase(): bigint {
    return this.clock.timebase()
  }

  override timebaseFrequency(): bigint {
    return this.clock.timebaseFrequency
  }

  override sample(into: BigUint64Array): number {
    const { timebase, timeOfDayNs } = this.clock.sample()
    into.set([timebase, BigInt.asUintN(64, timeOfDayNs), 0n])
    return 0
  }

  override clockState(into: BigUint64Array): number {
    return this.clock.state(checkWords(into, 1))
  }
}
