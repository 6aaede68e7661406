import { describe, expect, it, onTestFinished } from 'vitest'
import type { Vcpu } from '../../lib/kvm/vcpu.ts'
import { hostPair } from '../../lib/testing/index.ts'
import type { TestHost } from '../../lib/testing/index.ts'
import { inheritTimebase } from '../../lib/timebase/inherit.ts'
import { loadTimebase } from '../../lib/timebase/load.ts'
import { loadOneRegState, saveOneRegState } from '../../lib/timebase/move-one-reg.ts'
import { saveTimebase } from '../../lib/timebase/save.ts'
import { timerMemoryOf } from '../../lib/timebase/time-registers.ts'

// The memory for time registers outlives a call. If it kept the guest, the guest's vCPUs could not be
// garbage-collected, and what a caller forgot to close would never be closed.

function twoHosts() {
  const pair = hostPair()
  onTestFinished(() => {
    pair[Symbol.dispose]()
  })
  return pair
}

function guestOn(host: TestHost): Vcpu[] {
  const vm = host.createVm()
  return [0, 1].map((id) => vm.createVcpu(id))
}

/** The vCPUs that the memory of a guest's host knows. */
function kept([vcpu]: readonly Vcpu[]): Vcpu[] {
  if (vcpu === undefined) throw new Error('The guest has no vCPU')
  const { before, offsets, others } = timerMemoryOf(vcpu.system)
  return [before, offsets, others].flatMap(({ guest }) => [...guest.vcpus])
}

describe('the vCPUs are forgotten', () => {
  it('after a save, a load and a load of all registers', () => {
    const { source, destination } = twoHosts()
    const from = guestOn(source)
    const state = saveTimebase(from)
    const all = saveOneRegState(from)
    expect(kept(from)).toEqual([])

    const to = guestOn(destination)
    loadTimebase(to, state)
    expect(kept(to)).toEqual([])
    loadOneRegState(to, all)
    expect(kept(to)).toEqual([])
    const [first, second] = to as [Vcpu, Vcpu]
    inheritTimebase(first, second)
    expect(kept(to)).toEqual([])
  })

  it.each(['KVM_GET_ONE_REG', 'KVM_SET_ONE_REG'] as const)(
    'after calls that fail in %s',
    (operation) => {
      const { source, destination } = twoHosts()
      const from = guestOn(source)
      const state = saveTimebase(from)
      const all = saveOneRegState(from)
      const [first, second] = from as [Vcpu, Vcpu]
      const to = guestOn(destination)
      const fault = { errno: 'EIO', operation } as const
      source.kernel.fail({ ...fault, times: 1_000 })
      destination.kernel.fail({ ...fault, times: 1_000 })
      if (operation === 'KVM_GET_ONE_REG') expect(() => saveTimebase(from)).toThrow('EIO')
      expect(() => loadTimebase(to, state)).toThrow('EIO')
      expect(() => loadOneRegState(to, all)).toThrow()
      expect(() => inheritTimebase(first, second)).toThrow('EIO')
      expect(kept(from)).toEqual([])
      expect(kept(to)).toEqual([])
    },
  )
})
