import { wrongType } from './checks.ts'
import { OneRegError, TimebaseDivergedError, unavailable } from './errors.ts'
import type { Host } from './host.ts'
import type { TimebaseState } from './state.ts'
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
  const host = hostOf(vcpus)
  const fds = new Int32Array(vcpus.length)
  for (const [index, { fd }] of vcpus.entries()) fds[index] = fd
  return { host, vcpus, fds }
}

function hostOf(vcpus: unknown): Host {
  if (!Array.isArray(vcpus)) throw wrongType('vcpus', 'an array of vCPUs', vcpus)
  let host: Host | undefined
  const ids = new Set<number>()
  for (const vcpu of vcpus as unknown[]) {
    if (!(vcpu instanceof Vcpu)) throw wrongType('a vCPU', 'a Vcpu', vcpu)
    host ??= vcpu.host
    if (vcpu.host !== host) {
      throw new OneRegError('ERR_VCPUS_MISMATCH', 'The vCPUs belong to different hosts')
    }
    if (ids.has(vcpu.id)) {
      throw new OneRegError('ERR_VCPUS_MISMATCH', `vCPU ${vcpu.id} was given twice`)
    }
    ids.add(vcpu.id)
  }
  if (host === undefined) throw new OneRegError('ERR_NO_VCPUS', 'No vCPUs were given')
  return host
}

/** A vCPU that is left out would run on with another offset than its siblings. */
export function checkAllThere(vcpus: readonly Vcpu[], state: TimebaseState): void {
  const given = new Set(vcpus.map(({ id }) => id))
  const absent = state.vcpus.filter(({ id }) => !given.has(id)).map(({ id }) => id)
  if (absent.length === 0) return
  throw new OneRegError(
    'ERR_VCPUS_MISMATCH',
    `The state was saved from vCPUs that were not given to load it: ${absent.join(', ')}`,
  )
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
  const { vcpus } = timers.guest
  const first = offsetOf(timers, 0)
  if (vcpus.every((_, vcpu) => offsetOf(timers, vcpu) === first)) return first
  throw new TimebaseDivergedError(
    vcpus.map(({ id }, vcpu) => ({ vcpu: id, offset: offsetOf(timers, vcpu) })),
  )
}
