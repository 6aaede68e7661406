import { Host } from '../../lib/host.ts'
import type { RegisterName } from '../../lib/registers.ts'
import { SoftwareKernel } from '../../lib/software.ts'
import type { SoftwareKernelOptions } from '../../lib/software.ts'
import type { Vcpu } from '../../lib/vcpu.ts'
import type { Vm } from '../../lib/vm.ts'

export const SECOND = 1_000_000_000n
export const MILLISECOND = 1_000_000n
/** The smallest step of TB_OFFSET, in ticks. */
export const PERIOD = 16_777_216n

export const timerNames = ['TB_OFFSET', 'DEC_EXPIRY', 'VTB', 'PURR', 'SPURR'] as const
export type TimerName = (typeof timerNames)[number]

/** Time in ns that passes only when a test says so. */
export class HandMovedTime {
  #now = 0n
  readonly read = (): bigint => this.#now

  pass(ns: bigint): void {
    this.#now += ns
  }
}

/** A host with one guest. */
export class Side<K extends SoftwareKernel = SoftwareKernel> {
  readonly kernel: K
  readonly host: Host
  readonly vm: Vm
  readonly vcpus: readonly Vcpu[]

  constructor(kernel: K, ids: readonly number[]) {
    this.kernel = kernel
    this.host = new Host(kernel)
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

  /** What the guest reads on each of its vCPUs now. */
  guestTimebases(): bigint[] {
    const timebase = this.host.timebase()
    return this.vcpus.map((vcpu) => BigInt.asUintN(64, timebase + vcpu.get('TB_OFFSET')))
  }

  /** The time registers of each vCPU, as `VTB of vCPU 3`; what the kernel lacks is left out. */
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

export interface PairOptions {
  readonly ids?: readonly number[]
  readonly source?: SoftwareKernelOptions
  readonly destination?: SoftwareKernelOptions
}

export interface Pair {
  readonly time: HandMovedTime
  readonly source: Side
  readonly destination: Side
}

/** Two hosts with the same wall clock and different timebases; time passes on both at once. */
export function hostPair({ ids = [0, 1, 2, 3], source, destination }: PairOptions = {}): Pair {
  const time = new HandMovedTime()
  const shared = { time: time.read, timeOfDayNs: 1_700_000_000n * SECOND }
  return {
    time,
    source: new Side(
      new SoftwareKernel({ timebase: 7_000_000_000_123n, ...shared, ...source }),
      ids,
    ),
    destination: new Side(
      new SoftwareKernel({ timebase: 2_500_000_000_456n, ...shared, ...destination }),
      ids,
    ),
  }
}
