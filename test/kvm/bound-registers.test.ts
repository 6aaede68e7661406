import { describe, expect, it, vi } from 'vitest'
import { Host } from '../../lib/kvm/host.ts'
import { SoftwareKernel } from '../../lib/kernel/software/kernel.ts'
import type { Vcpu } from '../../lib/kvm/vcpu.ts'

function newVcpu(): { kernel: SoftwareKernel; vcpu: Vcpu } {
  const kernel = new SoftwareKernel()
  return { kernel, vcpu: new Host(kernel).createVm().createVcpu(0) }
}

describe('bound registers', () => {
  it('are read in one crossing, and tell what was read until they are read again', () => {
    const { kernel, vcpu } = newVcpu()
    vcpu.write({ DAR: 2n ** 63n, DSISR: 7, VR0: new Uint8Array(16).fill(3) })
    const bound = vcpu.bind(['VR0', 'DAR', 'DSISR'])
    const crossing = vi.spyOn(kernel, 'getOneRegs')
    bound.read()
    expect(crossing).toHaveBeenCalledTimes(1)
    vcpu.set('DAR', 1n)
    expect(bound.get('DAR')).toBe(2n ** 63n)
    expect(bound.get('DSISR')).toBe(7)
    expect(bound.get('VR0')).toEqual(new Uint8Array(16).fill(3))
    bound.read()
    expect(bound.get('DAR')).toBe(1n)
    expect(bound.names).toEqual(['VR0', 'DAR', 'DSISR'])
  })

  it('are written in one crossing: what was set, and what was read', () => {
    const { kernel, vcpu } = newVcpu()
    vcpu.write({ DAR: 5n, DSISR: 6 })
    const bound = vcpu.bind(['DAR', 'DSISR', 'VR1'])
    bound.read()
    vcpu.write({ DAR: 0n, DSISR: 0 })
    bound.set('DSISR', 2 ** 32 - 1)
    bound.set('VR1', new Uint8Array(16).fill(9))
    expect(vcpu.get('DSISR')).toBe(0)
    const crossing = vi.spyOn(kernel, 'setOneRegs')
    bound.write()
    expect(crossing).toHaveBeenCalledTimes(1)
    expect(vcpu.read(['DAR', 'DSISR', 'VR1'])).toEqual({
      DAR: 5n,
      DSISR: 2 ** 32 - 1,
      VR1: new Uint8Array(16).fill(9),
    })
  })

  it('are not disturbed by other calls', () => {
    const { vcpu } = newVcpu()
    const [one, two] = [vcpu.bind(['DAR']), vcpu.bind(['DSCR'])]
    one.set('DAR', 1n)
    two.set('DSCR', 2n)
    vcpu.set('DAR', 9n)
    vcpu.read(['DSCR'])
    one.write()
    two.write()
    expect(vcpu.read(['DAR', 'DSCR'])).toEqual({ DAR: 1n, DSCR: 2n })
  })

  it('throw for the first that fails, and have the others', () => {
    const { vcpu } = newVcpu()
    vcpu.set('DAR', 5n)
    const bound = vcpu.bind(['DSCR', 'IAC1', 'MAS0', 'DAR'])
    expect(() => {
      bound.read()
    }).toThrow(expect.objectContaining({ code: 'EINVAL', register: 'IAC1', vcpu: 0 }))
    expect(bound.get('DAR')).toBe(5n)
    bound.set('DAR', 6n)
    expect(() => {
      bound.write()
    }).toThrow(expect.objectContaining({ operation: 'KVM_SET_ONE_REG', register: 'IAC1' }))
    expect(vcpu.get('DAR')).toBe(6n)
  })

  it('refuse wrong names and values', () => {
    const { kernel, vcpu } = newVcpu()
    const { calls } = kernel
    expect(() => vcpu.bind('DAR' as never)).toThrow(TypeError)
    expect(() => vcpu.bind(['NONE' as never])).toThrow(TypeError)
    expect(() => vcpu.bind(['DAR', 'DAR'])).toThrow(/differ/)
    const bound = vcpu.bind(['DAR'])
    expect(() => bound.get('DSCR' as never)).toThrow(/one of those bound: DAR/)
    expect(() => bound.get('NONE' as never)).toThrow(TypeError)
    expect(() => {
      bound.set('DAR', 5 as never)
    }).toThrow(TypeError)
    expect(() => {
      bound.set('DAR', 1n << 64n)
    }).toThrow(RangeError)
    expect(kernel.calls).toBe(calls)
  })

  it('are closed with their vCPU', () => {
    const { vcpu } = newVcpu()
    const bound = vcpu.bind(['DAR'])
    vcpu.close()
    for (const call of [
      () => {
        bound.read()
      },
      () => {
        bound.write()
      },
      () => vcpu.bind(['DAR']),
    ]) {
      expect(call).toThrow(expect.objectContaining({ code: 'ERR_KVM_CLOSED' }))
    }
  })

  it('may be none', () => {
    const { vcpu } = newVcpu()
    const bound = vcpu.bind([])
    bound.read()
    bound.write()
    expect(bound.names).toEqual([])
  })
})
