import { describe, expect, it } from 'vitest'
import { KvmError, RestoreIncompleteError, TimebaseNotAppliedError } from '../../../lib/errors.ts'
import { registerNames } from '../../../lib/registers.ts'
import { Host } from '../../../lib/kvm/host.ts'
import { inheritTimebase } from '../../../lib/timebase/inherit.ts'
import { loadTimebase } from '../../../lib/timebase/load.ts'
import { saveTimebase } from '../../../lib/timebase/save.ts'
import { NativeKernel } from '../../../lib/kernel/native.ts'
import type { OneRegBatch } from '../../../lib/kernel/batch.ts'
import type { Vcpu } from '../../../lib/kvm/vcpu.ts'
import { caught } from '../../support/caught.ts'
import { runChild } from '../../support/child.ts'
import { errorOf } from '../../support/error-of.ts'
import { STEP, timerNames } from '../../support/host-pair.ts'

// Nothing is pretended here: descriptors are closed under the library, and the kernel says what it says.

/** Closes a file just before one of the library's crossings into the kernel. */
class ClosingKernel extends NativeKernel {
  #left = Infinity
  #fd = -1

  closeBefore(crossing: number, fd: number): void {
    this.#left = crossing
    this.#fd = fd
  }

  override getOneRegs(batch: OneRegBatch): number {
    this.#cross()
    return super.getOneRegs(batch)
  }

  override setOneRegs(batch: OneRegBatch): number {
    this.#cross()
    return super.setOneRegs(batch)
  }

  #cross(): void {
    if (this.#left-- === 0) expect(this.close(this.#fd)).toBe(0)
  }
}

/** Two vCPUs that another monitor made, as it were, borrowed. */
function borrowed() {
  const kernel = new ClosingKernel()
  const host = new Host(kernel)
  const device = kernel.open('/dev/kvm')
  const vm = kernel.createVm(device, 0)
  const fds = [0, 1].map((id) => kernel.createVcpu(vm, id))
  const vcpus = fds.map((fd, id) => host.vcpu(fd, id))
  const [zero, one] = vcpus
  if (zero === undefined || one === undefined) throw new Error('There are no vCPUs')
  for (const vcpu of vcpus) {
    vcpu.write({ TB_OFFSET: 3n * STEP, DEC_EXPIRY: 4n, VTB: 5n, PURR: 6n, SPURR: 7n })
  }
  const close = (): void => {
    for (const fd of [...fds, vm, device]) kernel.close(fd)
    host.close()
  }
  return { kernel, host, vm, vcpus, zero, one, close }
}

function timersOf(vcpu: Vcpu): Record<string, bigint> {
  return vcpu.read([...timerNames])
}

const all = [...timerNames].sort()

describe('a borrowed vCPU whose descriptor its owner closes', () => {
  it.each([
    // Reading, writing the offsets, reading them back, writing the others, reading DEC_EXPIRY back.
    { crossing: 0, operation: 'KVM_GET_ONE_REG', register: 'TB_OFFSET', isWritten: false },
    { crossing: 1, operation: 'KVM_SET_ONE_REG', register: 'TB_OFFSET', isWritten: true },
    { crossing: 2, operation: 'KVM_GET_ONE_REG', register: 'TB_OFFSET', isWritten: true },
    { crossing: 3, operation: 'KVM_SET_ONE_REG', register: 'DEC_EXPIRY', isWritten: true },
    { crossing: 4, operation: 'KVM_GET_ONE_REG', register: 'DEC_EXPIRY', isWritten: true },
  ])(
    'before crossing $crossing of a load, fails it; the others are put back, its registers are listed',
    ({ crossing, operation, register, isWritten }) => {
      const { kernel, vcpus, zero, one, close } = borrowed()
      const state = saveTimebase(vcpus)
      const before = timersOf(zero)
      kernel.closeBefore(crossing, one.fd)
      const error = caught(TimebaseNotAppliedError, () =>
        loadTimebase(vcpus, { ...state, guestTimebase: 2n ** 60n }),
      )
      expect(error).toMatchObject({ register, vcpu: 1, restored: !isWritten })
      expect(error.cause).toMatchObject({ code: 'EBADF', operation, vcpu: 1 })
      const listed = error.notRestored.map(({ vcpu, register }) => `${register} of vCPU ${vcpu}`)
      expect(listed.sort()).toEqual(isWritten ? all.map((name) => `${name} of vCPU 1`) : [])
      expect(timersOf(zero)).toEqual(before)
      close()
    },
  )

  it('fails a save, a snapshot and a restore with EBADF', () => {
    const { kernel, vcpus, zero, one, close } = borrowed()
    const snapshot = one.snapshot()
    kernel.close(one.fd)
    for (const call of [() => saveTimebase(vcpus), () => one.snapshot(), () => one.get('VTB')]) {
      expect(caught(KvmError, call)).toMatchObject({ code: 'EBADF', vcpu: 1 })
    }
    const error = caught(RestoreIncompleteError, () => one.restore(snapshot))
    expect(error.failed).toHaveLength(Object.keys(snapshot).length - 1)
    expect(new Set(error.failed.map(({ code }) => code))).toEqual(new Set(['EBADF']))
    expect(error.message).toMatch(/none was$/)
    const inherited = caught(TimebaseNotAppliedError, () => inheritTimebase(one, zero))
    expect(inherited).toMatchObject({ restored: true, cause: { code: 'EBADF', vcpu: 1 } })
    close()
  })

  it('and whose number is another file by then, fails too, and the file is not the worse for it', () => {
    const { kernel, vcpus, zero, one, close } = borrowed()
    const { fd } = one
    kernel.close(fd)
    expect(kernel.open('/dev/null')).toBe(fd)
    const before = timersOf(zero)
    const state = { ...saveTimebase([zero]), vcpus: [] }
    for (const call of [
      () => saveTimebase(vcpus),
      () => loadTimebase(vcpus, state),
      () => inheritTimebase(zero, one),
      () => one.snapshot(),
    ]) {
      const { code, cause } = errorOf(call) as { code: string; cause?: { code: string } }
      expect(cause?.code ?? code).toBe('ENOTTY')
    }
    expect(timersOf(zero)).toEqual(before)
    close()
  })

  it('and whose number is /dev/kvm by then, says EINVAL to all; no register is taken for absent', () => {
    const { kernel, zero, one, close } = borrowed()
    const { fd } = one
    kernel.close(fd)
    expect(kernel.open('/dev/kvm')).toBe(fd)
    expect(caught(KvmError, () => one.snapshot())).toMatchObject({ code: 'EINVAL', vcpu: 1 })
    expect(one.present.layout?.names).toEqual(registerNames)
    expect(Object.keys(zero.snapshot()).length).toBeGreaterThan(100)
    expect(() => saveTimebase([one])).toThrow(/vCPU 1 has no KVM_REG_PPC_TB_OFFSET/)
    close()
  })
})

describe("a VM's descriptor that is closed", () => {
  it('leaves its vCPUs as they are: they hold the VM', () => {
    const { kernel, vm, vcpus, zero, close } = borrowed()
    const state = saveTimebase(vcpus)
    kernel.close(vm)
    const { offset } = loadTimebase(vcpus, state)
    expect(zero.get('TB_OFFSET')).toBe(offset)
    close()
  })
})

describe('the vCPUs of another process', () => {
  it('fail every move there with EIO, and are not changed', () => {
    const { vcpus, zero, one, close } = borrowed()
    const before = vcpus.map(timersOf)
    const errors = runChild('child-moving.ts', [], { fds: [zero.fd, one.fd] })
    const cause = { code: 'EIO', operation: 'KVM_GET_ONE_REG' }
    const notApplied = { code: 'ERR_TIMEBASE_NOT_APPLIED', restored: true, cause }
    expect(errors).toEqual({
      save: cause,
      load: notApplied,
      inherit: notApplied,
      snapshot: cause,
      restore: {
        code: 'ERR_RESTORE_INCOMPLETE',
        cause: { code: 'EIO', operation: 'KVM_SET_ONE_REG' },
      },
    })
    expect(vcpus.map(timersOf)).toEqual(before)
    close()
  })
})
