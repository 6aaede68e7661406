import { describe, expect, it, onTestFinished, vi } from 'vitest'
import type { OneRegBatch } from '../../lib/kernel/batch.ts'
import type { Vcpu } from '../../lib/kvm/vcpu.ts'
import { hostPair } from '../../lib/testing/index.ts'
import type { TestHost } from '../../lib/testing/index.ts'
import { inheritTimebase } from '../../lib/timebase/inherit.ts'
import { loadTimebase } from '../../lib/timebase/load.ts'
import { loadOneRegState, saveOneRegState } from '../../lib/timebase/move-one-reg.ts'
import { saveTimebase, saveTimebaseAsync } from '../../lib/timebase/save.ts'
import { timerMemoryOf } from '../../lib/timebase/read-guest.ts'
import type { TimebaseState } from '../../lib/timebase/state.ts'
import type { VcpuTimers } from '../../lib/timebase/timers.ts'

// The memory for time registers is used by the next call on the same host. If it kept the guest, the guest's
// vCPUs could not be garbage-collected, and what a caller forgot to close would never be closed.

function twoHosts() {
  const pair = hostPair({ backend: 'software' })
  onTestFinished(() => {
    pair[Symbol.dispose]()
  })
  return pair
}

function guestOn(host: TestHost): Vcpu[] {
  const vm = host.createVm()
  return [0, 1].map((id) => vm.createVcpu(id))
}

function systemOf([vcpu]: readonly Vcpu[]): Vcpu['system'] {
  if (vcpu === undefined) throw new Error('The guest has no vCPU')
  return vcpu.system
}

/** The vCPUs that the memory of a guest's host knows. */
function kept(guest: readonly Vcpu[]): Vcpu[] {
  const { before, offsets, others } = timerMemoryOf(systemOf(guest))
  return [before, offsets, others].flatMap(({ guest }) => [...guest.vcpus])
}

it('the memory is the same for every call on a host', () => {
  const [vcpu] = guestOn(twoHosts().source) as [Vcpu]
  expect(timerMemoryOf(vcpu.system)).toBe(timerMemoryOf(vcpu.system))
})

it('the next call uses the memory again, also after one that failed, and one during a call has its own', () => {
  const { source } = twoHosts()
  const guest = guestOn(source)
  const state = saveTimebase(guest)
  loadTimebase(guest, state)
  const { before, offsets, others } = timerMemoryOf(systemOf(guest))
  const batches = () => [before, offsets, others].map(({ batch }) => batch)
  const memory = batches()
  source.kernel.fail({ errno: 'EIO', operation: 'KVM_GET_ONE_REG', register: 'TB_OFFSET' })
  expect(() => saveTimebase(guest)).toThrow(/EIO/)
  source.kernel.clearFaults()
  const used = new Set<OneRegBatch>()
  const watched = (call: (batch: OneRegBatch) => number) => (batch: OneRegBatch) => {
    used.add(batch)
    return call(batch)
  }
  const { kernel } = source
  kernel.getOneRegs = watched(kernel.getOneRegs.bind(kernel))
  kernel.setOneRegs = watched(kernel.setOneRegs.bind(kernel))
  loadTimebase(guest, saveTimebase(guest))
  expect(used).toEqual(new Set(memory))
  const get = kernel.getOneRegs.bind(kernel)
  let meanwhile: TimebaseState | undefined
  kernel.getOneRegs = (batch) => {
    kernel.getOneRegs = get
    used.clear()
    meanwhile = saveTimebase(guest)
    expect(used.size).toBe(1)
    expect(used).not.toContain(batch)
    return get(batch)
  }
  expect(saveTimebase(guest)).toEqual(meanwhile)
  expect(batches()).toEqual(memory)
})

it('the memory has no trace of the guest before, some of whose registers were left out', () => {
  const { source, destination } = twoHosts()
  const [from, to, next] = [guestOn(source), guestOn(destination), guestOn(destination)]
  for (const vcpu of from) vcpu.write({ VTB: 5n, PURR: 6n, SPURR: 7n })
  const state = saveTimebase(from)
  // VTB, PURR and SPURR of a vCPU that joins, and of one that was saved without them, are not written.
  const [first, second] = state.vcpus as [VcpuTimers, VcpuTimers]
  loadTimebase(to, { ...state, vcpus: [{ id: first.id, decExpiry: 1n }] })
  loadTimebase(next, state)
  for (const [index, { vtb, purr, spurr }] of [first, second].entries()) {
    const held = next[index]?.read(['VTB', 'PURR', 'SPURR'])
    expect(held).toEqual({ VTB: vtb, PURR: purr, SPURR: spurr })
  }
})

it('an asynchronous save says when no thread can be had', async () => {
  const { source } = twoHosts()
  const from = guestOn(source)
  vi.spyOn(source.kernel, 'getOneRegsAsync').mockResolvedValue(-11)
  await expect(saveTimebaseAsync(from)).rejects.toMatchObject({
    code: 'EAGAIN',
    operation: 'pthread_create',
  })
})

it('a vCPU without TB_OFFSET is noticed, though the memory has a value of the call before', () => {
  const { source } = twoHosts()
  const from = guestOn(source)
  saveTimebase(from)
  const fault = { errno: 'EINVAL', operation: 'KVM_GET_ONE_REG', register: 'TB_OFFSET' } as const
  source.kernel.fail({ ...fault, skip: 1 })
  expect(() => saveTimebase(from)).toThrow(/^vCPU 1 has no KVM_REG_PPC_TB_OFFSET/)
})

it('an asynchronous save leaves out the registers that the kernel lacks, as a save does', async () => {
  using pair = hostPair({ backend: 'software', source: { without: ['VTB', 'SPURR'] } })
  const from = guestOn(pair.source)
  const { vcpus } = await saveTimebaseAsync(from)
  expect(vcpus.map((timers) => Object.keys(timers))).toEqual(
    [0, 1].map(() => ['id', 'decExpiry', 'purr']),
  )
  expect(vcpus).toEqual(saveTimebase(from).vcpus)
})

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
