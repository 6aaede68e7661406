import { applyTimers } from './apply.ts'
import { beforeWriting, putAll, readBefore } from './before-writing.ts'
import { idOf, inherits, published, publishedAsync } from './channels.ts'
import { checkStillOpen, guestOf } from './guest.ts'
import { inheritLoad } from './last-load.ts'
import type { InheritOutcome } from './outcomes.ts'
import {
  forgetGuest,
  offsetOf,
  readTimeRegisters,
  readTimeRegistersAsync,
  timerMemoryOf,
} from './read-guest.ts'
import { bind } from './time-registers.ts'
import { checkAsyncOptions } from '../kvm/async-options.ts'
import type { AsyncOptions } from '../kvm/async-options.ts'
import { checkNotHeld } from '../kvm/held.ts'
import type { Vcpu } from '../kvm/vcpu.ts'

/**
 * Gives a vCPU that joins a running guest the timebase of another of its vCPUs: a new one starts with
 * offset 0. Reading the other waits while it runs; the new one must not run yet. In a PowerVM partition
 * ("nested v2") it would take the whole guest to offset 0, and no register of the others would show it.
 *
 *     inheritTimebase(vcpus[0], vm.createVcpu(4))
 *
 * @param from a stopped vCPU of the guest, which has its timebase
 * @param to the new vCPU, which has not run yet
 * @throws OneRegError ERR_VCPUS_MISMATCH, ERR_KVM_CLOSED, ERR_VCPU_HELD, ERR_KVM_UNAVAILABLE, as
 *   {@link loadTimebase}
 * @throws TimebaseNotAppliedError if the kernel refused; it says whether all could be put back
 * @example
 * ```ts
 * const plugged = vm.createVcpu(4)
 * inheritTimebase(running, plugged) // before it runs
 * ```
 * @group Moving the timebase
 */
export function inheritTimebase(from: Vcpu, to: Vcpu): InheritOutcome {
  return published(
    inherits,
    () => ({ from: idOf(from), to: idOf(to) }),
    () => inheritNow(from, to),
  )
}

function inheritNow(from: Vcpu, to: Vcpu): InheritOutcome {
  // Both must be open before either is read.
  const both = guestOf([from, to])
  checkNotHeld(both.system.host.kernel, both.fds, both.ids)
  const guest = guestOf([from])
  let offset: bigint
  try {
    offset = beforeWriting(() => offsetOf(readTimeRegisters(guest), 0))
  } finally {
    forgetGuest(guest)
  }
  return inherit(from, to, offset)
}

/**
 * {@link inheritTimebase} from a vCPU that may run: it waits for it on a thread of its own. The new vCPU
 * must not run yet.
 *
 * @param from a vCPU of the guest, which has its timebase
 * @param to the new vCPU, which has not run yet
 * @param options a signal that ends the waiting
 * @throws as {@link inheritTimebase}, by rejecting; AbortError
 * @example
 * ```ts
 * const plugged = vm.createVcpu(4)
 * await inheritTimebaseAsync(running, plugged)
 * ```
 * @group Moving the timebase
 */
export async function inheritTimebaseAsync(
  from: Vcpu,
  to: Vcpu,
  options: AsyncOptions = {},
): Promise<InheritOutcome> {
  return publishedAsync(
    inherits,
    () => ({ from: idOf(from), to: idOf(to) }),
    () => inheritAsync(from, to, options),
  )
}

async function inheritAsync(from: Vcpu, to: Vcpu, options: AsyncOptions): Promise<InheritOutcome> {
  const signal = checkAsyncOptions(options)
  const both = guestOf([from, to])
  checkNotHeld(both.system.host.kernel, both.fds, both.ids)
  let offset: bigint
  try {
    offset = offsetOf(await readTimeRegistersAsync(guestOf([from]), signal), 0)
  } catch (error) {
    return beforeWriting(() => {
      throw error
    })
  }
  const now = guestOf([from, to])
  checkNotHeld(now.system.host.kernel, now.fds, now.ids)
  return inherit(from, to, offset)
}

/** Writes the guest's offset and the present to a vCPU that joins it. */
function inherit(from: Vcpu, to: Vcpu, offset: bigint): InheritOutcome {
  const guest = guestOf([to])
  const { system } = guest
  try {
    const { before, sample } = readBefore(guest)
    const guestTimebase = BigInt.asUintN(64, sample.timebase + offset)
    const others = bind(timerMemoryOf(system).others, before.guest)
    putAll(others, [undefined], before, guestTimebase)
    checkStillOpen(before.guest)
    applyTimers(before, offset, others)
    inheritLoad(from, to, offset)
    return { offset, guestTimebase }
  } finally {
    forgetGuest(guest)
  }
}
