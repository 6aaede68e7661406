import { describe, expect, it } from 'vitest'
import { OneRegBatch } from '../../../lib/kernel/batch.ts'
import { Host } from '../../../lib/kvm/host.ts'
import { operations } from '../../../lib/testing/faults.ts'
import type { Fault } from '../../../lib/testing/faults.ts'
import type { Kernel } from '../../../lib/kernel/kernel.ts'
import { registers } from '../../../lib/registers.ts'
import { SoftwareKernel } from '../../../lib/kernel/software/kernel.ts'
import { FailingKernel } from '../../../lib/testing/failing-kernel.ts'
import { describeKernel } from '../../kernel/conformance/suite.ts'
import { emulated } from '../../support/emulated.ts'
import { errorOf } from '../../support/error-of.ts'

const EBADF = -9
const TB_OFFSET = registers.TB_OFFSET.id

function get(kernel: Kernel, fd: number, id = TB_OFFSET): number {
  return kernel.getOneReg(fd, id, new Uint8Array(8))
}

function makeKernel(): FailingKernel {
  return new FailingKernel(new SoftwareKernel())
}

describe('fail', () => {
  function made() {
    const kernel = makeKernel()
    const vcpu = kernel.createVcpu(kernel.createVm(kernel.open('/dev/kvm'), 0), 0)
    return { kernel, vcpu }
  }

  it('lets the next call fail, once', () => {
    const { kernel, vcpu } = made()
    kernel.fail({ errno: 'EIO' })
    expect([get(kernel, vcpu), get(kernel, vcpu)]).toEqual([-5, 0])
  })

  it('lets the n-th call fail', () => {
    const { kernel, vcpu } = made()
    kernel.fail({ errno: 'EIO', skip: 2 })
    const results = [1, 2, 3, 4].map(() => get(kernel, vcpu))
    expect(results).toEqual([0, 0, -5, 0])
  })

  it('lets several calls in a row fail', () => {
    const { kernel, vcpu } = made()
    kernel.fail({ errno: 'EIO', skip: 1, times: 2 })
    const results = [1, 2, 3, 4].map(() => get(kernel, vcpu))
    expect(results).toEqual([0, -5, -5, 0])
  })

  it('lets no call fail where it is to be none', () => {
    const { kernel, vcpu } = made()
    kernel.fail({ errno: 'EIO', times: 0 })
    expect([get(kernel, vcpu), get(kernel, vcpu)]).toEqual([0, 0])
  })

  it('lets calls of one operation fail', () => {
    const { kernel, vcpu } = made()
    kernel.fail({ errno: 'EIO', operation: 'KVM_SET_ONE_REG' })
    expect(get(kernel, vcpu)).toBe(0)
    expect(kernel.setOneReg(vcpu, TB_OFFSET, new Uint8Array(8))).toBe(-5)
    expect(kernel.setOneReg(vcpu, TB_OFFSET, new Uint8Array(8))).toBe(0)
  })

  it('lets calls for one register fail', () => {
    const { kernel, vcpu } = made()
    kernel.fail({ errno: 'EIO', register: 'VTB', skip: 1 })
    expect(get(kernel, vcpu)).toBe(0)
    expect(get(kernel, vcpu, registers.VTB.id)).toBe(0)
    expect(get(kernel, vcpu, registers.PURR.id)).toBe(0)
    expect(kernel.describe(vcpu)).toBe('anon_inode:kvm-vcpu:0')
    expect(get(kernel, vcpu, registers.VTB.id)).toBe(-5)
  })

  it('lets one operation on one register fail', () => {
    const { kernel, vcpu } = made()
    kernel.fail({ errno: 'EBUSY', operation: 'KVM_SET_ONE_REG', register: 'VTB' })
    const { id } = registers.VTB
    expect(kernel.setOneReg(vcpu, TB_OFFSET, new Uint8Array(8))).toBe(0)
    expect(get(kernel, vcpu, id)).toBe(0)
    expect(kernel.setOneReg(vcpu, id, new Uint8Array(8))).toBe(-16)
  })

  it('lets any operation fail', () => {
    const { kernel, vcpu } = made()
    const calls: Record<(typeof operations)[number], () => unknown> = {
      open: () => kernel.open('/dev/kvm'),
      close: () => kernel.close(vcpu),
      readlink: () => kernel.describe(3),
      mftb: () => Number(kernel.timebase()),
      clock_gettime: () => kernel.sample(new BigUint64Array(3)),
      adjtimex: () => kernel.clockState(new BigUint64Array(1)),
      KVM_CHECK_EXTENSION: () => kernel.checkExtension(3, 70),
      KVM_CREATE_VM: () => kernel.createVm(3, 0),
      KVM_CREATE_VCPU: () => kernel.createVcpu(4, 1),
      KVM_GET_ONE_REG: () => get(kernel, vcpu),
      KVM_SET_ONE_REG: () => kernel.setOneReg(vcpu, TB_OFFSET, new Uint8Array(8)),
    }
    // What closes the vCPU comes last.
    const inOrder = [...operations.filter((operation) => operation !== 'close'), 'close'] as const
    for (const operation of inOrder) {
      kernel.fail({ errno: 'EINTR', operation })
      expect([operation, calls[operation]()]).toEqual([operation, -4])
    }
  })

  it('lets adjtimex fail only if it is named, and does not count it', () => {
    const { kernel, vcpu } = made()
    const tell = () => kernel.clockState(new BigUint64Array(1))
    kernel.fail({ errno: 'EIO' })
    const { calls } = kernel
    expect([tell(), tell()]).toEqual([0, 0])
    expect(kernel.calls).toBe(calls)
    expect(get(kernel, vcpu)).toBe(-5)
    kernel.fail({ errno: 'EPERM', operation: 'adjtimex' })
    expect([tell(), tell()]).toEqual([-1, 0])
  })

  it('changes nothing in a call that fails', () => {
    const { kernel, vcpu } = made()
    const value = new BigUint64Array([5n])
    const bytes = new Uint8Array(value.buffer)
    kernel.fail({ errno: 'EIO' })
    expect(kernel.setOneReg(vcpu, registers.DAR.id, bytes)).toBe(-5)
    kernel.fail({ errno: 'EIO' })
    expect(kernel.getOneReg(vcpu, registers.DAR.id, bytes)).toBe(-5)
    expect(value[0]).toBe(5n)
    kernel.getOneReg(vcpu, registers.DAR.id, bytes)
    expect(value[0]).toBe(0n)
    kernel.fail({ errno: 'ENOMEM' })
    expect(kernel.createVcpu(4, 1)).toBe(-12)
    expect(kernel.createVcpu(4, 1)).toBe(6)
    const words = new BigUint64Array(3).fill(7n)
    kernel.fail({ errno: 'EFAULT' })
    expect(kernel.sample(words)).toBe(-14)
    expect([...words]).toEqual([7n, 7n, 7n])
  })

  it('gives a file’s number back even where close fails, as Linux does', () => {
    const { kernel, vcpu } = made()
    kernel.fail({ errno: 'EIO', operation: 'close' })
    expect(kernel.close(vcpu)).toBe(-5)
    expect(kernel.describe(vcpu)).toBe(EBADF)
  })

  it('counts entries of a batch like single calls', () => {
    const { kernel, vcpu } = made()
    const batch = new OneRegBatch(4)
    batch.fds.fill(vcpu)
    batch.ids.fill(TB_OFFSET)
    kernel.fail({ errno: 'EIO', skip: 1, times: 2 })
    expect(kernel.getOneRegs(batch)).toBe(-5)
    expect([...batch.results]).toEqual([0, -5, -5, 0])
    kernel.fail({ errno: 'EIO', skip: 3 })
    kernel.setOneRegs(batch)
    expect([...batch.results]).toEqual([0, 0, 0, -5])
  })

  it('leaves the ids, descriptors and other values of a batch as they are', async () => {
    const { kernel, vcpu } = made()
    const batch = new OneRegBatch(4)
    batch.fds.fill(vcpu)
    batch.ids.set(['DAR', 'VTB', 'PURR', 'SPURR'].map((name) => registers[name as 'DAR'].id))
    for (let index = 0; index < 4; index++) batch.set64(index, 10n + BigInt(index))
    const { ids, fds } = { ids: [...batch.ids], fds: [...batch.fds] }
    const values = (): bigint[] => [0, 1, 2, 3].map((index) => batch.get64(index))

    kernel.fail({ errno: 'EIO', register: 'PURR', times: 2 })
    kernel.setOneRegs(batch)
    expect([...batch.results]).toEqual([0, 0, -5, 0])
    expect(values()).toEqual([10n, 11n, 12n, 13n])
    for (let index = 0; index < 4; index++) batch.set64(index, 77n)
    expect(await kernel.getOneRegsAsync(batch)).toBe(0)
    expect([...batch.results]).toEqual([0, 0, -5, 0])
    expect(values()).toEqual([10n, 11n, 77n, 13n])
    expect({ ids: [...batch.ids], fds: [...batch.fds] }).toEqual({ ids, fds })
    // Nothing was written for the entry that failed.
    kernel.getOneRegs(batch)
    expect(values()).toEqual([10n, 11n, 0n, 13n])
  })

  it('lets only calls for entries that are used fail', () => {
    const { kernel, vcpu } = made()
    const batch = new OneRegBatch(3)
    batch.fds.fill(vcpu)
    batch.ids.fill(TB_OFFSET)
    batch.results.fill(9)
    batch.used = 2
    kernel.fail({ errno: 'EIO', skip: 1, times: 5 })
    const { calls } = kernel
    kernel.getOneRegs(batch)
    expect(kernel.calls - calls).toBe(2)
    expect([...batch.results]).toEqual([0, -5, 9])
  })

  it('does not disturb a register that is asked for again and again', () => {
    const kernel = makeKernel()
    using host = new Host(kernel)
    const vcpu = host.createVm().createVcpu(0)
    vcpu.set('DAR', 5n)
    expect(vcpu.get('DAR')).toBe(5n)
    kernel.fail({ errno: 'EIO' })
    expect(errorOf(() => vcpu.get('DAR'))).toMatchObject({ code: 'EIO', register: 'DAR' })
    expect(vcpu.get('DAR')).toBe(5n)
  })

  it('adds faults up, each with a count of its own', () => {
    const { kernel, vcpu } = made()
    kernel.fail({ errno: 'EIO', operation: 'KVM_GET_ONE_REG' })
    kernel.fail({ errno: 'ENOMEM', operation: 'KVM_GET_ONE_REG', skip: 1 })
    kernel.fail({ errno: 'EBUSY', operation: 'KVM_SET_ONE_REG', skip: 1 })
    kernel.fail({ errno: 'EFAULT', skip: 4 })
    const set = (): number => kernel.setOneReg(vcpu, TB_OFFSET, new Uint8Array(8))
    expect([get(kernel, vcpu), get(kernel, vcpu), get(kernel, vcpu)]).toEqual([-5, -12, 0])
    expect([set(), set(), set()]).toEqual([0, -16, 0])
  })

  it('gives the error of the first of two faults that strike one call, and both are over', () => {
    const { kernel, vcpu } = made()
    kernel.fail({ errno: 'EIO' })
    kernel.fail({ errno: 'ENOMEM' })
    expect([get(kernel, vcpu), get(kernel, vcpu)]).toEqual([-5, 0])
  })

  it('is taken back by clearFaults', () => {
    const { kernel, vcpu } = made()
    kernel.fail({ errno: 'EIO', times: 5 })
    kernel.fail({ errno: 'EIO', skip: 1 })
    expect(get(kernel, vcpu)).toBe(-5)
    kernel.clearFaults()
    expect([1, 2, 3].map(() => get(kernel, vcpu))).toEqual([0, 0, 0])
    kernel.fail({ errno: 'ENOMEM' })
    expect(get(kernel, vcpu)).toBe(-12)
  })

  it('does not touch other kernels', () => {
    const { kernel, vcpu } = made()
    makeKernel().fail({ errno: 'EIO' })
    expect(get(kernel, vcpu)).toBe(0)
  })

  it.each<[unknown, string]>([
    [{ errno: 'EIO', operaton: 'open' }, 'operaton'],
    [{ errno: 'EIO', time: 2 }, 'time'],
    [{ errno: 'EIO', vcpu: 0 }, 'vcpu'],
  ])('throws for a misspelt key: %o', (fault, key) => {
    const kernel = makeKernel()
    const error = errorOf(() => {
      kernel.fail(fault as Fault)
    })
    expect(error).toBeInstanceOf(TypeError)
    expect(error).toMatchObject({ code: 'ERR_INVALID_ARG_VALUE' })
    expect((error as Error).message).toMatch(
      new RegExp(`^the fault may have only 'errno', .*not '${key}'$`),
    )
    expect(kernel.open('/dev/kvm')).toBe(3)
  })

  it.each([
    undefined,
    null,
    'EIO',
    ['EIO'],
    {},
    { errno: 5 },
    { errno: -5 },
    { errno: 'EWHATEVER' },
    { errno: 'constructor' },
    { errno: 'EIO', operation: 'KVM_RUN' },
    { errno: 'EIO', operation: '' },
    { errno: 'EIO', operation: null },
    { errno: 'EIO', register: 'TB_OFSET' },
    { errno: 'EIO', register: '' },
    { errno: 'EIO', register: null },
    { errno: 'EIO', register: 0x103000000000009cn },
    { errno: 'EIO', skip: '1' },
    { errno: 'EIO', times: 2n },
  ])('throws a TypeError for %o', (fault) => {
    const kernel = makeKernel()
    const error = errorOf(() => {
      kernel.fail(fault as never)
    })
    expect(error).toBeInstanceOf(TypeError)
    expect(kernel.open('/dev/kvm')).toBe(3)
  })

  it.each([
    { errno: 'EIO', skip: -1 },
    { errno: 'EIO', skip: 0.5 },
    { errno: 'EIO', times: -1 },
    { errno: 'EIO', times: NaN },
    { errno: 'EIO', times: Infinity },
  ] as const)('throws a RangeError for %o', (fault) => {
    const kernel = makeKernel()
    const error = errorOf(() => {
      kernel.fail(fault)
    })
    expect(error).toBeInstanceOf(RangeError)
    expect(kernel.open('/dev/kvm')).toBe(3)
  })
})

// The model is the same on any processor.
if (!emulated) {
  describe('FailingKernel, while no call is to fail,', () => {
    describeKernel(() => new FailingKernel(new SoftwareKernel()), {
      linux: '6.12',
      machine: 'pseries POWER9',
    })
  })
}

describe('FailingKernel', () => {
  it('leaves the kernel that it wraps as it is', () => {
    const inner = new SoftwareKernel()
    const kernel = new FailingKernel(inner)
    expect(kernel.backend).toBe('software')
    kernel.fail({ errno: 'EIO', operation: 'open' })
    expect(inner.open('/dev/kvm')).toBe(3)
    expect(kernel.calls).toBe(0)
    expect(kernel.open('/dev/kvm')).toBe(-5)
    expect([kernel.calls, inner.calls]).toEqual([1, 1])
  })

  it('tells that no thread could be had, as the kernel that it wraps does', async () => {
    class Threadless extends SoftwareKernel {
      override getOneRegsAsync(): Promise<number> {
        return Promise.resolve(-11)
      }
    }
    const kernel = new FailingKernel(new Threadless())
    const batch = new OneRegBatch(2)
    batch.results.fill(9)
    kernel.fail({ errno: 'EIO' })
    expect(await kernel.getOneRegsAsync(batch)).toBe(-11)
    expect([...batch.results]).toEqual([9, 9])
  })
})
