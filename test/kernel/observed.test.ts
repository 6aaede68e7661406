import { describe, expect, it, vi } from 'vitest'
import { Host } from '../../lib/kvm/host.ts'
import { ObservedKernel } from '../../lib/kernel/observed.ts'
import type { KernelCall } from '../../lib/kernel/observed.ts'
import { SoftwareKernel } from '../../lib/kernel/software/kernel.ts'
import { errorOf } from '../support/error-of.ts'

describe('a kernel that is observed', () => {
  it('tells of each call once it was made', async () => {
    const calls: KernelCall[] = []
    const kernel = new ObservedKernel(new SoftwareKernel(), (call) => calls.push(call))
    const host = new Host(kernel)
    expect([host.kernel, host.backend]).toEqual([kernel, 'software'])
    const vcpu = host.createVm().createVcpu(8)
    expect(
      calls.map(({ operation, path, fd, argument, result }) => [
        operation,
        path ?? fd,
        argument,
        result,
      ]),
    ).toEqual([
      ['open', '/dev/kvm', undefined, 3],
      ['KVM_CHECK_EXTENSION', 3, 70, 1],
      ['KVM_CREATE_VM', 3, 0, 4],
      ['KVM_CREATE_VCPU', 4, 8, 5],
    ])
    calls.length = 0
    vcpu.set('DAR', 5n)
    vcpu.getRaw(0x1030_0000_0000_000cn)
    errorOf(() => vcpu.getRaw(0x1030_0000_0000_ffffn))
    await vcpu.readAsync(['DAR', 'DSISR'])
    const value = new Uint8Array(BigUint64Array.of(5n).buffer)
    expect(calls).toMatchObject([
      { operation: 'KVM_SET_ONE_REG', fd: 5, register: 'DAR', value, result: 0, of: 1 },
      { operation: 'KVM_GET_ONE_REG', fd: 5, register: 'DAR', value, result: 0, of: 1 },
      { operation: 'KVM_GET_ONE_REG', id: 0x1030_0000_0000_ffffn, value: undefined, result: -22 },
      { operation: 'KVM_GET_ONE_REG', register: 'DAR', value, of: 2 },
      { operation: 'KVM_GET_ONE_REG', register: 'DSISR', value: new Uint8Array(4), of: 2 },
    ])
    for (const { startedMs, tookMs } of calls) {
      expect(startedMs).toBeGreaterThan(0)
      expect(tookMs).toBeGreaterThanOrEqual(0)
    }
    // A copy, which the next call leaves alone.
    vcpu.set('DAR', 6n)
    expect(calls[0]?.value).toEqual(value)
    calls.length = 0
    host.close()
    expect(calls.map(({ operation }) => operation)).toEqual(['close', 'close', 'close'])
  })

  it('makes the call whatever the function does', () => {
    const nextTick = vi.spyOn(process, 'nextTick').mockImplementation(() => undefined)
    const kernel = new ObservedKernel(new SoftwareKernel(), () => {
      throw new Error('mine')
    })
    expect(kernel.open('/dev/kvm')).toBe(3)
    const [[rethrow] = []] = nextTick.mock.calls
    nextTick.mockRestore()
    expect(rethrow).toThrow('mine')
  })
})
