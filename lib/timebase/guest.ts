import { checkArray, firstRepeated, wrongType } from '../checks.ts'
import { OneRegError, TimebaseDivergedError, unavailable } from '../errors.ts'
import type { Host } from '../kvm/host.ts'
import { STATE_VCPU_LIMIT } from './state.ts'
import type { CheckedState, CheckedTimers } from './state.ts'
import { TB_OFFSET } from './timers.ts'
import type { Timers } from './timers.ts'
import { Vcpu } from '../kvm/vcpu.ts'

/** The vCPUs of one guest, as the caller's array was read, with what the calls for them need. */
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
export function guestOf(given: readonly Vcpu[]): Guest {
  const vcpus = checkArray('vcpus', 'vCPUs', given, STATE_VCPU_LIMIT) as Vcpu[]
  const fds = new Int32Array(vcpus.length)
  let host: Host | undefined
  for (let index = 0; index < vcpus.length; index++) {
    const vcpu: unknown = vcpus[index]
    if (!(vcpu instanceof Vcpu)) throw wrongType('a vCPU', 'a Vcpu', vcpu)
    host ??= vcpu.host
    if (vcpu.host !== host) {
      throw new OneRegError('ERR_VCPUS_MISMATCH', 'The vCPUs belong to different hosts')
    }
    fds[index] = vcpu.fd
  }
  if (host === undefined) throw new OneRegError('ERR_NO_VCPUS', 'No vCPUs were given')
  const repeated = vcpus[firstRepeated(vcpus)]
  if (repeated !== undefined) {
    throw new OneRegError('ERR_VCPUS_MISMATCH', `vCPU ${repeated.id} was given twice`)
  }
  return { host, vcpus, fds }
}

/**
 * What was saved of each of these vCPUs; undefined of one that is new.
 *
 * @throws OneRegError ERR_VCPUS_MISMATCH if one is left out: it would run on with another offset
 */
export function savedOf(
  vcpus: readonly Vcpu[],
  state: CheckedState,
): readonly (CheckedTimers | undefined)[] {
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
function inTheSameOrder(vcpus: readonly Vcpu[], saved: readonly CheckedTimers[]): boolean {
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
    `vCPU ${timers.columns.guest.vcpus[vcpu]?.id ?? '?'} has no KVM_REG_PPC_TB_OFFSET: it needs Linux 3.13 with HV KVM on POWER7 or later; PR KVM, BookE and other processors do not have it`,
  )
}

/** @throws TimebaseDivergedError */
export function commonOffset(timers: Timers): bigint {
  const first = offsetOf(timers, 0)
  if (timers.haveOneOffset) return first
  const offsets = timers.columns.guest.vcpus.map(({ id }, vcpu) => ({
    vcpu: id,
    offset: offsetOf(timers, vcpu),
  }))
  if (offsets.every(({ offset }) => offset === first)) return first
  throw new TimebaseDivergedError(offsets)
}

/** @throws OneRegError ERR_KVM_UNAVAILABLE */
export function checkOffsets(timers: Timers): void {
  if (timers.areComplete) return
  timers.columns.guest.fds.forEach((_, vcpu) => offsetOf(timers, vcpu))
}
