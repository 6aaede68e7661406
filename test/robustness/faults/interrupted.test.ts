import { beforeEach, describe, expect, it } from 'vitest'
import { errnos } from '../../../lib/errno.ts'
import { OneRegError, TimebaseNotAppliedError } from '../../../lib/errors.ts'
import { Host } from '../../../lib/kvm/host.ts'
import { INTERRUPTED_LIMIT } from '../../../lib/kvm/one-reg.ts'
import type { Operation } from '../../../lib/testing/faults.ts'
import { loadTimebase } from '../../../lib/timebase/load.ts'
import { saveTimebase } from '../../../lib/timebase/save.ts'
import { SoftwareKernel } from '../../../lib/kernel/software/kernel.ts'
import { FailingKernel } from '../../../lib/testing/failing-kernel.ts'
import type { Vcpu } from '../../../lib/kvm/vcpu.ts'
import { caught } from '../../support/caught.ts'
import { runChild } from '../../support/child.ts'
import { errorOf } from '../../support/error-of.ts'
import { describeUnless, x86KvmLacks } from '../../support/lacking.ts'

let kernel: FailingKernel
let host: Host
let vcpu: Vcpu

beforeEach(() => {
  kernel = new FailingKernel(new SoftwareKernel())
  host = new Host(kernel)
  vcpu = host.createVm().createVcpu(0)
})

const calls: Record<string, { operation: Operation; call: () => unknown }> = {
  'new Host': { operation: 'open', call: () => new Host(kernel) },
  createVm: { operation: 'KVM_CREATE_VM', call: () => host.createVm() },
  get: { operation: 'KVM_GET_ONE_REG', call: () => vcpu.get('DAR') },
  set: {
    operation: 'KVM_SET_ONE_REG',
    call: () => {
      vcpu.set('DAR', 1n)
    },
  },
  has: { operation: 'KVM_GET_ONE_REG', call: () => vcpu.has('DAR') },
  getRaw: { operation: 'KVM_GET_ONE_REG', call: () => vcpu.getRaw(0x103000000000009cn) },
  setRaw: {
    operation: 'KVM_SET_ONE_REG',
    call: () => {
      vcpu.setRaw(0x103000000000009cn, new Uint8Array(8))
    },
  },
  read: { operation: 'KVM_GET_ONE_REG', call: () => vcpu.read(['DSISR', 'DAR']) },
  write: {
    operation: 'KVM_SET_ONE_REG',
    call: () => {
      vcpu.write({ DSISR: 1, DAR: 1n })
    },
  },
  'read of bound registers': {
    operation: 'KVM_GET_ONE_REG',
    call: () => {
      vcpu.bind(['DSISR', 'DAR']).read()
    },
  },
  'write of bound registers': {
    operation: 'KVM_SET_ONE_REG',
    call: () => {
      vcpu.bind(['DSISR', 'DAR']).write()
    },
  },
  getAsync: { operation: 'KVM_GET_ONE_REG', call: () => vcpu.getAsync('DAR') },
  setAsync: { operation: 'KVM_SET_ONE_REG', call: () => vcpu.setAsync('DAR', 1n) },
  readAsync: { operation: 'KVM_GET_ONE_REG', call: () => vcpu.readAsync(['DSISR', 'DAR']) },
  writeAsync: { operation: 'KVM_SET_ONE_REG', call: () => vcpu.writeAsync({ DSISR: 1, DAR: 1n }) },
}

describe.each(Object.keys(calls))('%s', (name) => {
  const { operation, call } = calls[name] ?? { operation: 'open', call: () => undefined }
  const isOfDar = operation.endsWith('ONE_REG') && !name.endsWith('Raw')
  const fault = { errno: 'EINTR', operation, ...(isOfDar && { register: 'DAR' as const }) } as const

  it.each([1, 3, INTERRUPTED_LIMIT - 1])(
    'is made again where signals interrupt it: %d times',
    async (times) => {
      kernel.fail({ ...fault, times })
      await call()
      kernel.clearFaults()
      if (operation === 'KVM_SET_ONE_REG' && isOfDar) {
        expect(vcpu.get('DAR')).toBe(name.startsWith('write of') ? 0n : 1n)
      }
    },
  )

  it('gives up where each time is interrupted, and is not made again after that', async () => {
    kernel.fail({ ...fault, times: INTERRUPTED_LIMIT })
    const error: unknown = await Promise.resolve()
      .then(call)
      .catch((error: unknown) => error)
    const { code, cause } = error as { code: string; cause?: { code: string } }
    expect(cause?.code ?? code).toBe('EINTR')
    // All of them have struck.
    await call()
  })
})

describe('what is not made again', () => {
  it('is close: the number may be another file by then', () => {
    const { calls } = kernel
    kernel.fail({ errno: 'EINTR', operation: 'close', times: 9 })
    vcpu.close()
    expect(kernel.calls - calls).toBe(1)
  })

  it('is a call that fails for another reason', () => {
    const { calls } = kernel
    kernel.fail({ errno: 'EAGAIN' })
    expect(errorOf(() => vcpu.get('DAR'))).toMatchObject({ code: 'EAGAIN' })
    expect(kernel.calls - calls).toBe(1)
  })

  it('is one that has succeeded', () => {
    const { calls } = kernel
    vcpu.get('DAR')
    vcpu.read(['DAR', 'DSISR'])
    host.createVm()
    expect(kernel.calls - calls).toBe(4)
  })
})

it('a call that is made again may fail in another way, which is its error then', () => {
  kernel.fail({ errno: 'EINTR', register: 'DAR' })
  kernel.fail({ errno: 'EIO', register: 'DSISR', skip: 1 })
  const error = errorOf(() => vcpu.read(['DSISR', 'DAR']))
  expect(error).toMatchObject({ code: 'EIO', register: 'DSISR' })
  kernel.fail({ errno: 'EINTR' })
  kernel.fail({ errno: 'EINVAL', skip: 1 })
  expect(vcpu.has('DAR')).toBe(false)
})

it('a load that fails is taken back, whichever call of that is interrupted', () => {
  const saved = saveTimebase([vcpu])
  // Of another offset, or what was not taken back could not be told from what was.
  const state = { ...saved, guestTimebase: saved.guestTimebase + (1n << 40n) }
  const before = vcpu.read(['TB_OFFSET', 'DEC_EXPIRY'])
  for (const operation of ['KVM_GET_ONE_REG', 'KVM_SET_ONE_REG'] as const) {
    for (let skip = 0; skip < 20; skip++) {
      kernel.fail({ errno: 'EIO', operation: 'KVM_SET_ONE_REG', register: 'DEC_EXPIRY' })
      kernel.fail({ errno: 'EINTR', operation, register: 'TB_OFFSET', skip, times: 3 })
      const error = caught(TimebaseNotAppliedError, () => {
        loadTimebase([vcpu], state, { downtime: 'freeze' })
      })
      expect(error).toMatchObject({ restored: true, cause: { code: 'EIO' } })
      kernel.clearFaults()
      expect(vcpu.read(['TB_OFFSET', 'DEC_EXPIRY'])).toEqual(before)
    }
  }
})

it('a load that fails says what was not taken back, also if a signal interrupts reading it back', () => {
  const saved = saveTimebase([vcpu])
  const state = { ...saved, guestTimebase: saved.guestTimebase + (1n << 40n) }
  const [set, get] = [kernel.setOneRegs.bind(kernel), kernel.getOneRegs.bind(kernel)]
  let [sets, gets] = [0, 0]
  kernel.fail({ errno: 'EIO', operation: 'KVM_SET_ONE_REG', register: 'DEC_EXPIRY' })
  // The offset is written, then the others, then all of them to take them back: that does nothing.
  kernel.setOneRegs = (batch) => {
    if (++sets !== 3) return set(batch)
    batch.results.fill(0)
    return 0
  }
  // All are read, then the offset is read back, then all of them after they were taken back.
  kernel.getOneRegs = (batch) => {
    if (++gets !== 3) return get(batch)
    batch.results.fill(0)
    batch.results[0] = -errnos.EINTR
    return -errnos.EINTR
  }
  const error = caught(TimebaseNotAppliedError, () => loadTimebase([vcpu], state))
  expect(error.notRestored.map(({ register }) => register)).toContain('TB_OFFSET')
  expect(error.restored).toBe(false)
})

it('a device that cannot be opened for signals is an error that says so', () => {
  kernel.fail({ errno: 'EINTR', operation: 'open', times: INTERRUPTED_LIMIT })
  const error = caught(OneRegError, () => new Host(kernel))
  expect(error).toMatchObject({ code: 'ERR_KVM_UNAVAILABLE', cause: { code: 'EINTR' } })
})

describeUnless(x86KvmLacks, 'on real KVM', () => {
  it(
    'VMs are made while signals keep coming in, as those of a profiler do',
    { timeout: 60_000 },
    () => {
      const { interrupted, failed } = runChild('child-interrupted.ts', []) as Record<string, number>
      // Without the library the kernel's EINTR is seen, or this would be no test.
      expect(interrupted).toBeGreaterThan(0)
      expect(failed).toBe(0)
    },
  )
})
