import type { OneRegBatch } from '../../lib/kernel/batch.ts'
import { NativeKernel } from '../../lib/kernel/native.ts'
import type { Vcpu } from '../../lib/kvm/vcpu.ts'
import { registers } from '../../lib/registers.ts'
import { inheritTimebase } from '../../lib/timebase/inherit.ts'
import { loadTimebase } from '../../lib/timebase/load.ts'
import type { AlignOptions } from '../../lib/timebase/load.ts'
import { planTimebase, TIMEBASE_OFFSET_STEP } from '../../lib/timebase/plan.ts'
import { saveTimebase } from '../../lib/timebase/save.ts'
import type { TimebaseState } from '../../lib/timebase/state.ts'
import type { Calls } from '../../lib/verify/trial.ts'

/** The library as it is, and with faults that monitors have had. */

export const sound: Calls = { saveTimebase, loadTimebase, inheritTimebase }

/** Remembers the offset that it asked for, although the kernel has rounded it up, as QEMU does. */
export function rememberingOffset(): Calls {
  let remembered: bigint | undefined
  return {
    ...sound,
    saveTimebase: (vcpus) => {
      const state = saveTimebase(vcpus)
      if (remembered === undefined) return state
      const error = BigInt.asIntN(64, remembered - state.offset)
      return { ...state, guestTimebase: BigInt.asUintN(64, state.guestTimebase + error) }
    },
    loadTimebase: ((vcpus: readonly Vcpu[], state: TimebaseState) => {
      const sample = vcpus[0]?.host.sample()
      if (sample === undefined) throw new Error('no vCPUs')
      remembered = BigInt.asUintN(64, state.guestTimebase - sample.timebase)
      for (const vcpu of vcpus) {
        vcpu.set('TB_OFFSET', remembered)
        const { decExpiry } = state.vcpus.find(({ id }) => id === vcpu.id) ?? {}
        if (decExpiry !== undefined) vcpu.set('DEC_EXPIRY', decExpiry)
      }
      const plan = planTimebase(state, sample, { downtime: 'freeze' })
      const offset = vcpus[0]?.get('TB_OFFSET') ?? 0n
      return { ...plan, offset, guestTimebase: state.guestTimebase, skipped: [] }
    }) as unknown as typeof loadTimebase,
  }
}

/** Loads without DEC_EXPIRY. */
export const withoutDecExpiry: Calls = {
  ...sound,
  loadTimebase: ((vcpus, state, options) => {
    const without = state.vcpus.map((timers) => {
      const copy = { ...timers }
      Reflect.deleteProperty(copy, 'decExpiry')
      return copy
    })
    return loadTimebase(vcpus, { ...state, vcpus: without }, options)
  }) as typeof loadTimebase,
}

/** Leaves out the last vCPU. */
export const forgettingVcpu: Calls = {
  ...sound,
  loadTimebase: ((vcpus, state, options) =>
    loadTimebase(
      vcpus.slice(0, -1),
      { ...state, vcpus: state.vcpus.slice(0, -1) },
      options,
    )) as typeof loadTimebase,
}

/** Tells threads an instant half a step before the one from which on the guest may run. */
export const startingEarly: Calls = {
  ...sound,
  loadTimebase: ((vcpus, state, options) => {
    const { onWritten, ...others } = options as AlignOptions
    return loadTimebase(vcpus, state, {
      ...others,
      onWritten: (at) => onWritten?.(at - TIMEBASE_OFFSET_STEP / 2n),
    })
  }) as typeof loadTimebase,
}

/** Lets a new vCPU keep its own time. */
export const withoutInheriting: Calls = {
  ...sound,
  inheritTimebase: (from) => ({ offset: from.get('TB_OFFSET'), guestTimebase: 0n }),
}

/** So far that no machine is so slow as to hide it: 36 minutes at 512 MHz. */
const LIE = 1n << 40n

/** A kernel that runs guests with a greater offset than TB_OFFSET reads. */
export class LyingKernel extends NativeKernel {
  override setOneRegs(batch: OneRegBatch): number {
    moveOffsets(batch, LIE)
    const result = super.setOneRegs(batch)
    moveOffsets(batch, -LIE)
    return result
  }

  override getOneRegs(batch: OneRegBatch): number {
    const result = super.getOneRegs(batch)
    moveOffsets(batch, -LIE)
    return result
  }
}

function moveOffsets(batch: OneRegBatch, ticks: bigint): void {
  for (let index = 0; index < batch.used; index++) {
    if (batch.ids[index] !== registers.TB_OFFSET.id) continue
    batch.set64(index, BigInt.asUintN(64, batch.get64(index) + ticks))
  }
}
