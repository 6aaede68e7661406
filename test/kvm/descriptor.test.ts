import { describe, expect, it } from 'vitest'
import { Host } from '../../lib/kvm/host.ts'
import type { Vcpu } from '../../lib/kvm/vcpu.ts'
import { SoftwareKernel } from '../../lib/kernel/software/kernel.ts'
import { errorOf } from '../support/error-of.ts'
import { collectGarbage } from '../support/garbage.ts'

/** Where standard input is closed, the first file that is opened gets its number. */
class FromZero extends SoftwareKernel {
  override open(path: string): number {
    return Math.min(super.open(path), 0)
  }

  override checkExtension(fd: number, extension: number): number {
    return super.checkExtension(fd + 3, extension)
  }

  override createVm(fd: number, type: number): number {
    return super.createVm(fd + 3, type)
  }
}

describe('a descriptor', () => {
  it('of number 0 is one like others', () => {
    const host = new Host(new FromZero())
    expect(host.fd).toBe(0)
    expect(host.createVm().createVcpu(0).get('TB_OFFSET')).toBe(0n)
  })

  it('is closed at the end of its block, and no other with it', () => {
    const host = new Host(new SoftwareKernel())
    const outer = host.createVm()
    const kept = outer.createVcpu(0)
    const inBlock = () => {
      using vm = host.createVm()
      using vcpu = outer.createVcpu(1)
      expect([isClosed(vm), isClosed(vcpu)]).toEqual([false, false])
      return [vm, vcpu]
    }
    expect(inBlock().map(isClosed)).toEqual([true, true])
    expect([host, outer, kept].map(isClosed)).toEqual([false, false, false])
  })

  it('that is closed is not kept by what it was opened through', async () => {
    const vm = new Host(new SoftwareKernel()).createVm()
    const closeOne = () => {
      const vcpu = vm.createVcpu(0)
      vcpu.close()
      return new WeakRef(vcpu.descriptor)
    }
    const closed = closeOne()
    await collectGarbage()
    expect(closed.deref()).toBeUndefined()
    expect(isClosed(vm)).toBe(false)
  })

  it('that is borrowed from this library is closed with the one that opened it', () => {
    const kernel = new SoftwareKernel()
    const vm = new Host(kernel).createVm()
    const vcpu = vm.createVcpu(3)
    const host = new Host(kernel)
    const [first, second] = [host.vcpu(vcpu.fd, 3), host.vcpu(vcpu.fd, 3)]
    const bound = second.bind(['DAR'])
    expect([first, second].map(isClosed)).toEqual([false, false])
    first.close()
    expect([vcpu, first, second].map(isClosed)).toEqual([false, true, false])
    const { fd } = vcpu
    vcpu.close()
    // The next vCPU has the number now.
    const next = vm.createVcpu(4)
    expect(next.fd).toBe(fd)
    next.set('DAR', 5n)
    for (const call of [
      () => second.get('DAR'),
      () => {
        second.set('DAR', 7n)
      },
    ]) {
      expect(errorOf(call)).toMatchObject({ code: 'ERR_KVM_CLOSED' })
    }
    expect(
      errorOf(() => {
        bound.read()
      }),
    ).toMatchObject({ code: 'ERR_KVM_CLOSED' })
    expect(next.get('DAR')).toBe(5n)
    expect(host.vcpu(next.fd, 4).get('DAR')).toBe(5n)
  })
})

describe('a vCPU of the caller’s own that has the number of one of this library', () => {
  it.each([
    [
      'that was closed, on a kernel that does not tell files apart',
      Object.assign(new SoftwareKernel(), { fileId: undefined }) as unknown as SoftwareKernel,
      (vcpu: Vcpu) => {
        vcpu[Symbol.dispose]()
      },
    ],
    [
      'that the caller closed by its number',
      new SoftwareKernel(),
      ({ fd, host }: Vcpu) => host.kernel.close(fd),
    ],
  ])('does not share the life of one %s', async (_which, kernel, close) => {
    const host = new Host(kernel)
    const vm = host.createVm()
    const gone = vm.createVcpu(0)
    const { fd } = gone
    const calls = gone.descriptor.calls
    close(gone)
    expect(kernel.createVcpu(vm.fd, 1)).toBe(fd)
    const borrowed = host.vcpu(fd, 1)
    expect(borrowed.get('TB_OFFSET')).toBe(0n)
    expect(borrowed.descriptor.calls).not.toBe(calls)
    expect(await borrowed.getAsync('TB_OFFSET')).toBe(0n)
  })
})

function isClosed(one: { readonly fd: number }): boolean {
  try {
    return one.fd < 0
  } catch (error) {
    expect(error).toMatchObject({ code: 'ERR_KVM_CLOSED' })
    return true
  }
}
