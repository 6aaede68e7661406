import { describe, expect, it } from 'vitest'
import { Host } from '../../lib/kvm/host.ts'
import { inheritTimebase } from '../../lib/timebase/inherit.ts'
import { loadTimebase } from '../../lib/timebase/load.ts'
import { saveTimebase } from '../../lib/timebase/save.ts'
import { SoftwareKernel } from '../../lib/kernel/software/kernel.ts'
import { FailingKernel } from '../../lib/testing/failing-kernel.ts'
import type { Vcpu } from '../../lib/kvm/vcpu.ts'

/** A POWER8 host with 4 vCPUs to a virtual core, and as many vCPUs as asked for. */
function power8(count: number, timebase = 0n) {
  const kernel = new FailingKernel(new SoftwareKernel({ threadsPerCore: 4, timebase }))
  const vm = new Host(kernel).createVm()
  const vcpus = Array.from({ length: count }, (_, id) => vm.createVcpu(id))
  return { kernel, vm, vcpus }
}

const offsets = (vcpus: readonly Vcpu[]) => vcpus.map((vcpu) => vcpu.get('TB_OFFSET'))
const timers = (vcpus: readonly Vcpu[]) =>
  vcpus.map((vcpu) => vcpu.read(['TB_OFFSET', 'DEC_EXPIRY', 'VTB', 'PURR', 'SPURR']))

describe('on a host where the vCPUs of a core share one offset', () => {
  it('setting one vCPU sets its siblings and no others', () => {
    const { vcpus } = power8(8)
    vcpus[1]?.set('TB_OFFSET', 1n << 24n)
    const set = 1n << 24n
    expect(offsets(vcpus)).toEqual([set, set, set, set, 0n, 0n, 0n, 0n])
  })

  it.each([
    ['VTB', 5n],
    ['LPCR_64', 0x0200_0000n],
    ['ARCH_COMPAT', 0x0f00_0004],
  ] as const)('%s is shared as well, and DEC_EXPIRY is not', (name, value) => {
    const { vcpus } = power8(8)
    const [one, , , last, stranger] = vcpus
    if (one === undefined || last === undefined || stranger === undefined) throw new Error('vCPUs')
    const [before, expiries] = [stranger.get(name), vcpus.map((vcpu) => vcpu.get('DEC_EXPIRY'))]
    one.write({ [name]: value, DEC_EXPIRY: 7n })
    expect(last.get(name)).toBe(one.get(name))
    expect(one.get(name)).not.toBe(before)
    expect(stranger.get(name)).toBe(before)
    expect(vcpus.map((vcpu) => vcpu.get('DEC_EXPIRY'))).toEqual([7n, ...expiries.slice(1)])
  })

  it('a load writes and checks all, with decrementers of their own', () => {
    const source = power8(8, 999_999_999_999n)
    source.vcpus.forEach((vcpu, id) => {
      vcpu.write({ DEC_EXPIRY: 2n ** 62n + BigInt(id) })
    })
    const state = saveTimebase(source.vcpus)
    const { vcpus } = power8(8)
    const { offset } = loadTimebase(vcpus, state)
    expect(offsets(vcpus)).toEqual(Array(8).fill(offset))
    expect(vcpus.map((vcpu) => vcpu.get('DEC_EXPIRY'))).toEqual(
      Array.from({ length: 8 }, (_, id) => 2n ** 62n + BigInt(id)),
    )
  })

  it('a load of vCPUs that had virtual timebases of their own takes the last', () => {
    const source = new Host(new SoftwareKernel()).createVm()
    const own = [0, 1, 2, 3].map((id) => source.createVcpu(id))
    own.forEach((vcpu, id) => {
      vcpu.set('VTB', BigInt(id + 100))
    })
    const { vcpus } = power8(4)
    loadTimebase(vcpus, saveTimebase(own))
    expect(vcpus.map((vcpu) => vcpu.get('VTB'))).toEqual([103n, 103n, 103n, 103n])
  })

  it('a load that fails at any call leaves all as it was', () => {
    const state = saveTimebase(power8(8, 1n << 50n).vcpus)
    const prepare = () => {
      const host = power8(8)
      host.vcpus.forEach((vcpu, id) => {
        vcpu.write({ TB_OFFSET: id < 4 ? 3n << 24n : 5n << 24n, DEC_EXPIRY: BigInt(id + 1) })
      })
      return host
    }
    const { kernel, vcpus } = prepare()
    const before = timers(vcpus)
    const callsBefore = kernel.calls
    loadTimebase(vcpus, state)
    const calls = kernel.calls - callsBefore
    expect(timers(vcpus)).not.toEqual(before)
    for (let skip = 0; skip < calls; skip++) {
      const host = prepare()
      host.kernel.fail({ errno: 'EIO', skip })
      expect(() => loadTimebase(host.vcpus, state)).toThrow(
        expect.objectContaining({ code: 'ERR_TIMEBASE_NOT_APPLIED', restored: true }),
      )
      host.kernel.clearFaults()
      expect(timers(host.vcpus)).toEqual(before)
    }
  })

  it('a vCPU that is plugged in beside a sibling or into a core of its own inherits', () => {
    const { vm, vcpus } = power8(3)
    const state = saveTimebase(power8(3, 1n << 50n).vcpus)
    const { offset } = loadTimebase(vcpus, state)
    const [first] = vcpus
    if (first === undefined) throw new Error('no vCPU')
    const sibling = vm.createVcpu(3)
    const stranger = vm.createVcpu(4)
    expect(offsets([sibling, stranger])).toEqual([offset, 0n])
    for (const added of [sibling, stranger]) {
      const outcome = inheritTimebase(first, added)
      expect(outcome.offset).toBe(offset)
      expect(added.get('DEC_EXPIRY')).toBe(outcome.guestTimebase)
    }
    expect(offsets([...vcpus, sibling, stranger])).toEqual(Array(5).fill(offset))
  })

  it('an inheritance that fails takes nothing from the siblings', () => {
    const { kernel, vm, vcpus } = power8(3)
    loadTimebase(vcpus, saveTimebase(power8(3, 1n << 50n).vcpus))
    const before = timers(vcpus)
    const sibling = vm.createVcpu(3)
    const [first] = vcpus
    if (first === undefined) throw new Error('no vCPU')
    kernel.fail({ errno: 'EIO', operation: 'KVM_SET_ONE_REG', register: 'DEC_EXPIRY' })
    expect(() => inheritTimebase(first, sibling)).toThrow(
      expect.objectContaining({ restored: true }),
    )
    expect(timers(vcpus)).toEqual(before)
  })
})
