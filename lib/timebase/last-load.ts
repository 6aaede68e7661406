import type { Vcpu } from '../kvm/vcpu.ts'

/** What the last load of a vCPU wrote, and where it left the guest. */
export interface LastLoad {
  /** TB_OFFSET, in ticks, u64: what is remembered is right for as long as the kernel holds it. */
  readonly offset: bigint
  /** How far ahead the guest has been since, for the rounding of this load and those before it. */
  readonly roundingTicks: bigint
  /** The guest's timebase from which it went on, in ticks, u64. */
  readonly guestTimebase: bigint
}

export function rememberLoad(vcpus: readonly Vcpu[], load: LastLoad): void {
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
