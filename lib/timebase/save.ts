import { idsOf, published, publishedAsync, saves } from './channels.ts'
import { checkStillOpen, guestOf } from './guest.ts'
import type { Guest } from './guest.ts'
import { lastLoadOf } from './last-load.ts'
import type { LastLoad } from './last-load.ts'
import type { Writable } from './plan.ts'
import { timebaseToJson } from './state.ts'
import type { TimebaseState } from './state.ts'
import {
  commonOffset,
  forgetGuest,
  readTimeRegisters,
  readTimeRegistersAsync,
} from './read-guest.ts'
import { timersAt } from './time-registers.ts'
import type { TimeRegisters } from './time-registers.ts'
import { withoutAbsent } from './timers.ts'
import type { VcpuTimers } from './timers.ts'
import { checkAsyncOptions } from '../kvm/async-options.ts'
import type { AsyncOptions } from '../kvm/async-options.ts'
import { heldAmong } from '../kvm/held.ts'
import type { Vcpu } from '../kvm/vcpu.ts'
import { withToJson } from '../state-text.ts'

/**
 * Takes a guest's timebase from its host. The guest's vCPUs must be stopped: a call waits for one that
 * runs, and its time would go on after it was saved.
 *
 * One sample of the host's clocks serves all vCPUs, and the offset is what the kernel holds, never
 * one remembered: QEMU remembers the one it asked for, and its guests go back in time. All that is
 * remembered is the rounding error of the last load of the same {@link Vcpu} objects, and where it let
 * the guest go on: while an aligned load waits, the state is what the guest will start with.
 *
 *     const text = serializeTimebase(saveTimebase(vcpus))
 *
 * @param vcpus all vCPUs of the guest
 * @throws OneRegError ERR_NO_VCPUS, ERR_VCPUS_MISMATCH, ERR_KVM_CLOSED
 * @throws OneRegError ERR_KVM_UNAVAILABLE if the kernel has no TB_OFFSET (Linux 3.13, HV KVM)
 * @throws TimebaseDivergedError if the vCPUs' offsets differ
 * @throws KvmError
 * @example
 * ```ts
 * const text = serializeTimebase(saveTimebase(vcpus)) // with the vCPUs stopped
 * ```
 * @group Moving the timebase
 */
export function saveTimebase(vcpus: readonly Vcpu[]): TimebaseState {
  return published(
    saves,
    () => ({ vcpus: idsOf(vcpus) }),
    () => save(vcpus),
  )
}

function save(vcpus: readonly Vcpu[]): TimebaseState {
  const guest = guestOf(vcpus)
  try {
    return stateOf(guest, readTimeRegisters(guest))
  } finally {
    forgetGuest(guest)
  }
}

/**
 * {@link saveTimebase} for vCPUs of which one may still run: it waits for them on a thread of its own, and
 * takes the sample when all could be read. It does not stop them: a vCPU that is started again before the
 * promise resolves makes the state wrong.
 *
 * @param vcpus all vCPUs of the guest
 * @param options a signal that ends the waiting
 * @throws as {@link saveTimebase}, by rejecting; AbortError
 * @example
 * ```ts
 * const state = await saveTimebaseAsync(vcpus, { signal: AbortSignal.timeout(1000) })
 * ```
 * @group Moving the timebase
 */
export async function saveTimebaseAsync(
  vcpus: readonly Vcpu[],
  options: AsyncOptions = {},
): Promise<TimebaseState> {
  return publishedAsync(
    saves,
    () => ({ vcpus: idsOf(vcpus) }),
    () => saveAsync(vcpus, options),
  )
}

async function saveAsync(vcpus: readonly Vcpu[], options: AsyncOptions): Promise<TimebaseState> {
  const signal = checkAsyncOptions(options)
  const guest = guestOf(vcpus)
  const read = await readTimeRegistersAsync(guest, signal)
  checkStillOpen(guest)
  return stateOf(guest, read)
}

/**
 * The state of a guest whose time registers have been read. The clocks are sampled after them: reading
 * waits for a vCPU that still runs, and what a guest that is to be frozen does until the sample is not lost.
 */
function stateOf(guest: Guest, timers: TimeRegisters): TimebaseState {
  const sample = guest.system.sample()
  const offset = commonOffset(timers)
  const { timebase, timeOfDayNs, timebaseFrequency, uncertaintyNs, clock } = sample
  const last = lastLoadOf(guest.vcpus, offset)
  const state: Writable<TimebaseState> = {
    guestTimebase: notBehind(guest, offset, last, BigInt.asUintN(64, timebase + offset)),
    timeOfDayNs,
    timebaseFrequency,
    uncertaintyNs,
    offset,
    vcpus: savedTimers(timers),
  }
  const roundingTicks = last?.roundingTicks ?? 0n
  if (roundingTicks !== 0n) state.roundingTicks = roundingTicks
  if (clock !== undefined) state.clock = clock
  return withToJson(state, timebaseToJson)
}

/**
 * The guest's timebase now, or where a load left the guest if that is still to come: while an aligned load
 * waits for its instant, the guest has already read more than the host's timebase and the offset make.
 */
function notBehind(
  { system, fds }: Guest,
  offset: bigint,
  last: LastLoad | undefined,
  now: bigint,
): bigint {
  let latest = last === undefined ? now : laterOf(now, last.guestTimebase)
  for (const held of heldAmong(system.host.kernel, fds)) {
    if (held.offset === offset) latest = laterOf(latest, held.guestTimebase)
  }
  return latest
}

function laterOf(one: bigint, other: bigint): bigint {
  return BigInt.asIntN(64, other - one) > 0n ? other : one
}

function savedTimers(read: TimeRegisters): VcpuTimers[] {
  const saved = new Array<VcpuTimers>(read.length)
  for (let vcpu = 0; vcpu < read.length; vcpu++) saved[vcpu] = withoutAbsent(timersAt(read, vcpu))
  return saved
}
