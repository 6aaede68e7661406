import { Host } from '../../lib/kvm/host.ts'
import type { RegisterName } from '../../lib/registers.ts'
import type { Kernel } from '../../lib/kernel/kernel.ts'
import type { FailingKernel } from '../../lib/testing/failing-kernel.ts'
import type { HandMovedTime } from '../../lib/testing/hand-moved-time.ts'
import { hostPair as modelHosts } from '../../lib/testing/host-pair.ts'
import type { HostPairOptions } from '../../lib/testing/host-pair.ts'
import type { Vcpu } from '../../lib/kvm/vcpu.ts'
import type { Vm } from '../../lib/kvm/vm.ts'

export const SECOND = 1_000_000_000n
export const MILLISECOND = 1_000_000n
/** A step of TB_OFFSET, in ticks. */
export const STEP = 16_777_216n

export const timerNames = ['TB_OFFSET', 'DEC_EXPIRY', 'VTB', 'PURR', 'SPURR'] as const
export type TimerName = (typeof timerNames)[number]

/** A host with one guest. */
export class Side<K extends Kernel = FailingKernel> {
  readonly kernel: K
  readonly host: Host
  readonly vm: Vm
  readonly vcpus: readonly Vcpu[]

  constructor(kernel: K, ids: readonly number[], host = new Host(kernel)) {
    this.kernel = kernel
    this.host = host
    this.vm = this.host.createVm()
    this.vcpus = ids.map((id) => this.vm.createVcpu(id))
  }

  vcpu(id: number): Vcpu {
    const found = this.vcpus.find((vcpu) => vcpu.id === id)
    if (found === undefined) throw new Error(`There is no vCPU ${id}`)
    return found
  }

  setOffsets(offset: bigint): void {
    for (const vcpu of this.vcpus) vcpu.set('TB_OFFSET', offset)
  }

  /** The guest's timebase on each of its vCPUs now. */
  guestTimebases(): bigint[] {
    const timebase = this.host.timebase()
    return this.vcpus.map((vcpu) => BigInt.asUintN(64, timebase + vcpu.get('TB_OFFSET')))
  }

  /** The time registers of each vCPU by names such as `VTB of vCPU 3`, without those that the kernel lacks. */
  timers(): Record<string, bigint> {
    return Object.fromEntries(
      this.vcpus.flatMap((vcpu) =>
        timerNames
          .filter((name) => vcpu.has(name))
          .map((name) => [registerOn(name, vcpu.id), vcpu.get(name)]),
      ),
    )
  }
}

export function registerOn(register: RegisterName, vcpu: number): string {
  return `${register} of vCPU ${vcpu}`
}

export interface PairOptions extends Pick<HostPairOptions, 'source' | 'destination'> {
  readonly ids?: readonly number[]
}

export interface Pair {
  readonly time: HandMovedTime
  readonly source: Side
  readonly destination: Side
}

/** A guest on each of two models. On POWER, the same tests use vCPUs of real KVM. */
export function hostPair({ ids = [0, 1, 2, 3], ...options }: PairOptions = {}): Pair {
  const { time, source, destination } = modelHosts({ backend: 'software', ...options })
  return {
    time,
    source: new Side(source.kernel, ids, source),
    destination: new Side(destination.kernel, ids, destination),
  }
}
