import { indexOfRepeated, wrongType } from './checks.ts'
import { OneRegError, TimebaseDivergedError, unavailable } from './errors.ts'
import type { Host } from './host.ts'
import type { TimebaseState, VcpuTimers } from './state.ts'
import { TB_OFFSET } from './timers.ts'
import type { Timers } from './timers.ts'
import { Vcpu } from './vcpu.ts'

/** The vCPUs of one guest, with what the calls for them need. */
export interface Guest {
  readonly host: Host
  readonly vcpus: readonly Vcpu[]
  readonly fds: Int32Array
}

/**
 * The guest of these vCPUs, which must be one's as far as can be seen.
 *
 * @throws TypeError
 * @throws OneRegError ERR_NO_VCPUS, ERR_VCPUS_MISMATCH, ERR_KVM_CLOSED
 */
export function guestOf(vcpus: readonly Vcpu[]): Guest {
  if (!Array.isArray(vcpus)) throw wrongType('vcpus', 'an array of vCPUs', vcpus)
  const [first] = vcpus as readonly Vcpu[]
  const ids = new Int32Array(vcpus.length)
  const fds = new Int32Array(vcpus.length)
  for (let index = 0; index < vcpus.length; index++) {
    const vcpu: unknown = vcpus[index]
    if (!(vcpu instanceof Vcpu)) throw wrongType('a vCPU', 'a Vcpu', vcpu)
    if (vcpu.host !== first?.host) {
      throw new OneRegError('ERR_VCPUS_MISMATCH', 'The vCPUs belong to different hosts')
    }
    ids[index] = vcpu.id
    fds[index] = vcpu.fd
  }
  if (first === undefined) throw new OneRegError('ERR_NO_VCPUS', 'No vCPUs were given')
  const repeated = indexOfRepeated(ids)
  if (repeated >= 0) {
    throw new OneRegError('ERR_VCPUS_MISMATCH', `vCPU ${ids[repeated] ?? ''} was given twice`)
  }
  return { host: first.host, vcpus, fds }
}

/**
 * What was saved of each of these vCPUs; undefined of one that is new.
 *
 * @throws OneRegError ERR_VCPUS_MISMATCH if one is left out: it would run on with another offset
 */
export function savedOf(
  vcpus: readonly Vcpu[],
  state: TimebaseState,
): readonly (VcpuTimers | undefined)[] {
  if (inTheSameOrder(vcpus, state.vcpus)) return state.vcpus
  const given = new Set(vcpus.map(({ id }) => id))
  const absent = state.vcpus.filter(({ id }) => !given.has(id)).map(({ id }) => id)
  if (absent.length > 0) {
    throw new OneRegError(
      'ERR_VCPUS_MISMATCH',
      `The state was saved from vCPUs that were not given to load it: ${absent.join(', ')}`,
    )
  }
  const saved = new Map(state.vcpus.map((timers) => [timers.id, timers]))
  return vcpus.map(({ id }) => saved.get(id))
}

/** As nearly always. */
function inTheSameOrder(vcpus: readonly Vcpu[], saved: readonly VcpuTimers[]): boolean {
  if (vcpus.length !== saved.length) return false
  for (let index = 0; index < vcpus.length; index++) {
    if (vcpus[index]?.id !== saved[index]?.id) return false
  }
  return true
}

/** @throws OneRegError ERR_KVM_UNAVAILABLE */
export function offsetOf(timers: Timers, vcpu: number): bigint {
  const offset = timers.get(TB_OFFSET, vcpu)
  if (offset !== undefined) return offset
  throw unavailable(
    `vCPU ${timers.guest.vcpus[vcpu]?.id ?? '?'} has no KVM_REG_PPC_TB_OFFSET: it needs Linux 3.13 with HV KVM on POWER7 or later; PR KVM, BookE and other processors do not have it`,
  )
}

/** @throws TimebaseDivergedError */
export function commonOffset(timers: Timers): bigint {
  const first = offsetOf(timers, 0)
  if (timers.isCommon(TB_OFFSET)) return first
  const offsets = timers.guest.vcpus.map(({ id }, vcpu) => ({
    vcpu: id,
    offset: offsetOf(timers, vcpu),
  }))
  if (offsets.every(({ offset }) => offset === first)) return first
  throw new TimebaseDivergedError(offsets)
}
