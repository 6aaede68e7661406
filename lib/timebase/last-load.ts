import type { Vcpu } from '../kvm/vcpu.ts'

/** The last load of a vCPU: the offset that it wrote, and the timebase at which the guest goes on. */
export interface LastLoad {
  /** TB_OFFSET, in ticks, u64. The rest is valid for as long as the kernel holds this value. */
  readonly offset: bigint
  /** How far the guest is ahead because of the rounding of this load and earlier ones, in ticks. */
  readonly roundingTicks: bigint
  /** The guest's timebase at which it goes on, in ticks, u64. */
  readonly guestTimebase: bigint
}

export function rememberLoad(vcpus: readonly Vcpu[], load: LastLoad | undefined): void {
  for (const vcpu of vcpus) vcpu.lastLoad = load
}

/** The last load of these vCPUs of one guest, if they still have the offset that it wrote. */
export function lastLoadOf(vcpus: readonly Vcpu[], offset: bigint): LastLoad | undefined {
  for (const vcpu of vcpus) {
    const load = vcpu.lastLoad as LastLoad | undefined
    if (load?.offset === offset) return load
  }
  return undefined
}

/** Gives a vCPU that joins a guest the memory of one that is in it. */
export function inheritLoad(from: Vcpu, to: Vcpu, offset: bigint): void {
  to.lastLoad = lastLoadOf([from], offset)
}
