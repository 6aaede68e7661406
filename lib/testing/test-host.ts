import { checkWords } from '../checks.ts'
import { Host } from '../kvm/host.ts'
import type { Vcpu } from '../kvm/vcpu.ts'
import { NO_REGISTER } from '../kernel/batch.ts'
import type { OneRegBatch } from '../kernel/batch.ts'
import { errnos } from '../errno.ts'
import type { RegisterName } from '../registers.ts'
import { lookUp } from '../register-values.ts'
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

  /**
   * Says that a vCPU runs, which no vCPU of a test does by itself. Until it is stopped, a call for its
   * registers throws an AssertionError, since on a POWER host it would hold up the event loop, and a call
   * that ends in `Async` waits.
   *
   *     using running = host.run(vcpu)
   *
   * @param vcpu a vCPU of this host
   * @returns with `stop()`, which is also called at the end of `using`
   */
  run(vcpu: Vcpu): RunningVcpu {
    const stop = this.kernel.run(vcpu.fd)
    return { stop, [Symbol.dispose]: stop }
  }
}

/**
 * A vCPU that a test says is running, from {@link TestHost.run}.
 *
 * @group Two hosts
 */
export interface RunningVcpu {
  /** Stops it, and lets the calls that wait for it go on. */
  readonly stop: () => void
  /** {@link stop}, for `using`. */
  [Symbol.dispose](): void
}

/** The real kernel with its vCPUs and registers, but with clocks that a test can move. */
export class ClockedNativeKernel extends NativeKernel {
  readonly clock: SoftwareClock

  readonly #without: ReadonlySet<bigint>

  /** @param options the clocks, and the registers that calls do not find */
  constructor(options: SoftwareClockOptions & { readonly without?: readonly RegisterName[] }) {
    super()
    this.clock = new SoftwareClock(options)
    this.#without = new Set((options.without ?? []).map((name) => lookUp(name).id))
  }

  override getOneReg(fd: number, id: bigint, value: Uint8Array): number {
    return this.#without.has(id) ? -errnos.EINVAL : super.getOneReg(fd, id, value)
  }

  override setOneReg(fd: number, id: bigint, value: Uint8Array): number {
    return this.#without.has(id) ? -errnos.EINVAL : super.setOneReg(fd, id, value)
  }

  override getOneRegs(batch: OneRegBatch): number {
    return this.#passedOver(batch, () => super.getOneRegs(batch))
  }

  override setOneRegs(batch: OneRegBatch): number {
    return this.#passedOver(batch, () => super.setOneRegs(batch))
  }

  override getOneRegsAsync(batch: OneRegBatch): Promise<number> {
    return this.#passedOver(batch, () => super.getOneRegsAsync(batch))
  }

  override setOneRegsAsync(batch: OneRegBatch): Promise<number> {
    return this.#passedOver(batch, () => super.setOneRegsAsync(batch))
  }

  /** Makes a call for a batch without the entries of absent registers, which end with EINVAL. */
  #passedOver<T>(batch: OneRegBatch, call: () => T): T {
    if (this.#without.size === 0) return call()
    const ids = batch.ids.slice()
    batch.ids.set(ids.map((id) => (this.#without.has(id) ? NO_REGISTER : id)))
    try {
      return call()
    } finally {
      // Off the thread too: the kernel takes the ids when it is called.
      batch.ids.set(ids)
    }
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
