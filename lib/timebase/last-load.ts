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

/**
 * What the vCPUs that were loaded together remember, in one object: another load of the same vCPUs changes
 * it and no vCPU. A new object in each vCPU takes 120 instructions, since V8's garbage collector notes it.
 */
interface SharedLoad {
  load: LastLoad
  /** How many vCPUs were given this object: those that have another one by now still count. */
  sharers: number
}

export function rememberLoad(vcpus: readonly Vcpu[], load: LastLoad): void {
  const shared = sharedBy(vcpus)
  if (shared === undefined) {
    const made = { load, sharers: 0 }
    for (const vcpu of vcpus) share(vcpu, made)
  } else shared.load = load
}

/** Makes the vCPUs as if they had never been loaded: a rehearsal tries both kinds. */
export function forgetLoad(vcpus: readonly Vcpu[]): void {
  for (const vcpu of vcpus) share(vcpu, undefined)
}

/** The object that all of these vCPUs have and no other one has; undefined if that is not certain. */
function sharedBy(vcpus: readonly Vcpu[]): SharedLoad | undefined {
  const { length } = vcpus
  const shared = vcpus[0] && ofVcpu(vcpus[0])
  if (shared?.sharers !== length) return undefined
  for (let index = 1; index < length; index++) {
    if (vcpus[index]?.lastLoad !== shared) return undefined
  }
  return shared
}

function share(vcpu: Vcpu, shared: SharedLoad | undefined): void {
  if (shared !== undefined) shared.sharers++
  vcpu.lastLoad = shared
}

function ofVcpu({ lastLoad }: Vcpu): SharedLoad | undefined {
  return lastLoad as SharedLoad | undefined
}

/** The last load of these vCPUs of one guest, if they still have the offset that it wrote. */
export function lastLoadOf(vcpus: readonly Vcpu[], offset: bigint): LastLoad | undefined {
  for (const vcpu of vcpus) {
    const shared = ofVcpu(vcpu)
    if (shared?.load.offset === offset) return shared.load
  }
  return undefined
}

/** Gives a vCPU that joins a guest the memory of one that is in it. */
export function inheritLoad(from: Vcpu, to: Vcpu, offset: bigint): void {
  share(to, lastLoadOf([from], offset) && ofVcpu(from))
}
