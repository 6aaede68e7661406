import { checkArray, firstRepeated, wrongClass } from '../checks.ts'
import { closed, mismatch, OneRegError } from '../errors.ts'
import type { MismatchReason } from '../errors.ts'
import type { KvmSystem } from '../kvm/system.ts'
import { STATE_VCPU_LIMIT } from './state.ts'
import type { CheckedState } from './state.ts'
import type { CheckedTimers } from './timers.ts'
import type { Descriptor } from '../kvm/descriptor.ts'
import { Vcpu } from '../kvm/vcpu.ts'
import type { Vm } from '../kvm/vm.ts'

/**
 * A copy of the caller's array of vCPUs, with the host, ids and descriptors that batch calls need. It is
 * a copy because reading the array may run the caller's getters, which may close a vCPU.
 */
export interface Guest {
  readonly system: KvmSystem
  readonly vcpus: readonly Vcpu[]
  readonly ids: readonly number[]
  readonly descriptors: readonly Descriptor[]
  /** The file descriptors. For the same ones as in the last call this is the same array: see {@link fdsOf}. */
  readonly fds: Int32Array
}

/**
 * The guest that these vCPUs are. They must be of one host and, where that is known, of one VM: a
 * borrowed vCPU does not say which VM it belongs to.
 *
 * @throws TypeError for what is not a vCPU, or is a proxy of one
 * @throws OneRegError ERR_NO_VCPUS, ERR_VCPUS_MISMATCH, ERR_KVM_CLOSED
 */
export function guestOf(given: readonly Vcpu[]): Guest {
  const vcpus = checkArray('vcpus', 'vCPUs', given, STATE_VCPU_LIMIT) as Vcpu[]
  const { length } = vcpus
  // Arrays of their final length, and loops by index: a guest may have a thousand vCPUs, and it stands still.
  const ids = new Array<number>(length)
  const descriptors = new Array<Descriptor>(length)
  let system: KvmSystem | undefined
  let vm: Vm | undefined
  for (let index = 0; index < length; index++) {
    const vcpu = vcpus[index]
    if (!Vcpu.isVcpu(vcpu)) throw wrongClass('a vCPU', Vcpu, vcpu)
    if (vcpu.system !== system) system = onlyOne(system, vcpu.system, 'hosts', 'hosts')
    if (vcpu.vm !== vm) vm = onlyOne(vm, vcpu.vm, 'vms', 'VMs: a timebase is that of one guest')
    ids[index] = vcpu.id
    descriptors[index] = vcpu.descriptor
  }
  if (system === undefined) throw new OneRegError('ERR_NO_VCPUS', 'No vCPUs were given')
  const repeated = firstRepeated(ids)
  if (repeated >= 0) {
    throw mismatch('repeated', `vCPU ${ids[repeated] ?? '?'} was given twice`)
  }
  // Last, when no code of the caller's can run any more.
  system.checkOpen()
  return { system, vcpus, ids, descriptors, fds: fdsOf(descriptors, ids) }
}

/** The result of the last {@link fdsOf}. It is never written to again, since earlier guests still have it. */
let lastFds = new Int32Array()

/**
 * The file descriptors of vCPUs that must be open. The array is used again for a guest that has the same, so
 * that they need not be copied into every column of a batch: in a small guest that takes longer than its save.
 */
function fdsOf(descriptors: readonly Descriptor[], ids: readonly number[]): Int32Array {
  const { length } = descriptors
  let fds = lastFds.length === length ? lastFds : new Int32Array(length)
  for (let index = 0; index < length; index++) {
    const fd = openFd(descriptors, ids, index)
    if (fds[index] === fd) continue
    if (fds === lastFds) fds = lastFds.slice()
    fds[index] = fd
  }
  lastFds = fds
  return fds
}

/** The one of two that is known, which must not differ where both are. */
function onlyOne<T>(
  one: T | undefined,
  other: T | undefined,
  reason: MismatchReason,
  what: string,
): T | undefined {
  if (one === undefined || other === undefined) return one ?? other
  throw mismatch(reason, `The vCPUs belong to different ${what}`)
}

/**
 * Checks that the descriptors which a call took are still those of its vCPUs: between reading and writing
 * run the host's clocks, which may be a test's.
 *
 * @throws OneRegError ERR_KVM_CLOSED
 */
export function checkStillOpen({ descriptors, ids }: Guest): void {
  for (let index = 0; index < descriptors.length; index++) openFd(descriptors, ids, index)
}

function openFd(descriptors: readonly Descriptor[], ids: readonly number[], index: number): number {
  const fd = descriptors[index]?.fd
  if (fd === undefined) throw closed(`vCPU ${ids[index] ?? '?'}`)
  return fd
}

/**
 * The saved registers for each vCPU of a guest, in the guest's order; undefined for a vCPU that is new.
 *
 * @throws OneRegError ERR_VCPUS_MISMATCH if one is left out: it would run on with another offset
 */
export function savedOf(
  { ids }: Guest,
  state: CheckedState,
): readonly (CheckedTimers | undefined)[] {
  if (inTheSameOrder(ids, state.vcpus)) return state.vcpus
  const given = new Set(ids)
  const absent = state.vcpus.filter(({ id }) => !given.has(id)).map(({ id }) => id)
  if (absent.length > 0) {
    throw mismatch(
      'missing',
      `The state was saved from vCPUs that were not given to load it: ${absent.join(', ')}`,
    )
  }
  const saved = new Map(state.vcpus.map((timers) => [timers.id, timers]))
  return ids.map((id) => saved.get(id))
}

/** Whether the saved vCPUs are those of the guest, in the same order: the usual case. */
function inTheSameOrder(ids: readonly number[], saved: readonly CheckedTimers[]): boolean {
  if (ids.length !== saved.length) return false
  for (let index = 0; index < ids.length; index++) {
    if (ids[index] !== saved[index]?.id) return false
  }
  return true
}
