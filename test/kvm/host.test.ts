import {
  chmodSync,
  closeSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { KvmError, OneRegError } from '../../lib/errors.ts'
import { Host, openHost } from '../../lib/kvm/host.ts'
import type { HostOptions } from '../../lib/kvm/host.ts'
import { NativeKernel } from '../../lib/kernel/native.ts'
import { SoftwareKernel } from '../../lib/kernel/software/kernel.ts'
import { FailingKernel } from '../../lib/testing/failing-kernel.ts'
import type { Vcpu } from '../../lib/kvm/vcpu.ts'
import { caught } from '../support/caught.ts'
import { runChild } from '../support/child.ts'
import { errorOf } from '../support/error-of.ts'
import {
  addonLacks,
  describeUnless,
  itUnless,
  otherMachineLacks,
  x86KvmLacks,
} from '../support/lacking.ts'

const EBADF = -9

/**
 * Debian's Node does not change its user (CVE-2024-22017), so on the emulated host, where everyone may
 * read everything, the child is nobody from the start. Elsewhere it loads the library first.
 */
const nobody = process.arch === 'ppc64' ? { user: 65534 } : {}

afterEach(() => {
  vi.unstubAllEnvs()
})

/** The open files of this process, by what they are. */
function openFiles(): string[] {
  return readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      return [`${fd} ${readlinkSync(`/proc/self/fd/${fd}`)}`]
    } catch {
      return [] // the listing itself
    }
  })
}

function expectUnavailable(error: unknown, message: RegExp): void {
  expect(error).toBeInstanceOf(OneRegError)
  expect(error).toMatchObject({ code: 'ERR_KVM_UNAVAILABLE' })
  expect((error as Error).message).toMatch(message)
}

describe('the backend', () => {
  it('is the model on request', () => {
    using host = openHost({ backend: 'software' })
    expect(host.backend).toBe('software')
    expect(host.kernel).toBeInstanceOf(SoftwareKernel)
  })

  itUnless(x86KvmLacks, 'is the real kernel on request', () => {
    using host = openHost({ backend: 'kvm' })
    expect(host.backend).toBe('kvm')
    expect(host.kernel).toBeInstanceOf(NativeKernel)
  })

  it('is what KVM_PPC_BACKEND says where the option is left out', () => {
    vi.stubEnv('KVM_PPC_BACKEND', 'software')
    using host = openHost()
    expect(host.backend).toBe('software')
    using other = openHost({ device: '/dev/kvm' })
    expect(other.backend).toBe('software')
  })

  itUnless(addonLacks, 'is the real kernel where KVM_PPC_BACKEND says kvm', () => {
    vi.stubEnv('KVM_PPC_BACKEND', 'kvm')
    // The model would say the same, but it would not take /dev/null for a file that is there.
    const error = errorOf(() => openHost({ device: '/dev/zero' }))
    expectUnavailable(error, /\/dev\/zero is not a KVM device/)
  })

  it('is what the option says, whatever KVM_PPC_BACKEND is', () => {
    vi.stubEnv('KVM_PPC_BACKEND', 'nonsense')
    using host = openHost({ backend: 'software' })
    expect(host.backend).toBe('software')
  })

  it.each(['qemu', 'KVM', 'software ', '0'])(
    'is not %j in KVM_PPC_BACKEND: the error names the variable and the words',
    (word) => {
      vi.stubEnv('KVM_PPC_BACKEND', word)
      const error = errorOf(() => openHost())
      expect(error).toBeInstanceOf(TypeError)
      expect(error).toMatchObject({ code: 'ERR_INVALID_ARG_VALUE' })
      expect((error as Error).message).toBe(
        `KVM_PPC_BACKEND must be one of 'auto', 'kvm', 'software', not '${word}'`,
      )
    },
  )

  it.each(['qemu', 'KVM', '', null, 5, true, ['kvm'], {}])('is not %j as an option', (backend) => {
    const error = errorOf(() => openHost({ backend: backend as never }))
    expect(error).toBeInstanceOf(TypeError)
    expect(error).toMatchObject({ code: 'ERR_INVALID_ARG_VALUE' })
    expect((error as Error).message).toMatch(
      /^options\.backend must be one of 'auto', 'kvm', 'software', not /,
    )
  })

  describeUnless(otherMachineLacks, 'where this is not a POWER host', () => {
    const warning = {
      name: 'KvmPpcWarning',
      code: 'KVM_PPC_SOFTWARE_MODEL',
      message: expect.stringMatching(
        /not a POWER host.*model.*KVM_PPC_BACKEND=software/,
      ) as unknown,
    }

    it('is the model, and one warning for the whole process says so', () => {
      expect(runChild('child-warnings.ts', ['', '', 'auto'])).toEqual({
        backends: ['software', 'software', 'software'],
        warnings: [warning],
      })
    })

    it.each(['', 'auto'])('is the model with that warning where KVM_PPC_BACKEND is %j', (word) => {
      const env = { KVM_PPC_BACKEND: word }
      expect(runChild('child-warnings.ts', [''], { env })).toEqual({
        backends: ['software'],
        warnings: [warning],
      })
    })

    it('is the model without a warning where it was asked for', () => {
      const env = { KVM_PPC_BACKEND: 'software' }
      expect(runChild('child-warnings.ts', ['software', '', 'software'], { env })).toEqual({
        backends: ['software', 'software', 'software'],
        warnings: [],
      })
    })
  })
})

describe('the options', () => {
  it.each([{ backand: 'kvm' }, { backend: 'software', devise: '/dev/kvm' }, { Backend: 'kvm' }])(
    'are known ones: not %j',
    (options) => {
      const error = errorOf(() => openHost(options as HostOptions))
      expect(error).toBeInstanceOf(TypeError)
      expect(error).toMatchObject({ code: 'ERR_INVALID_ARG_VALUE' })
      expect((error as Error).message).toMatch(
        /^options may have only 'backend', 'device', not '(backand|devise|Backend)'/,
      )
    },
  )

  it.each([null, 'kvm', 5, ['kvm'], true])('are an object: not %j', (options) => {
    const error = errorOf(() => openHost(options as never))
    expect(error).toBeInstanceOf(TypeError)
    expect(error).toMatchObject({ code: 'ERR_INVALID_ARG_TYPE' })
  })

  it.each([null, 5, ['/dev/kvm'], {}])('have a path as their device: not %j', (device) => {
    const error = errorOf(() => openHost({ backend: 'software', device: device as never }))
    expect(error).toBeInstanceOf(TypeError)
    expect(error).toMatchObject({ code: 'ERR_INVALID_ARG_TYPE' })
  })

  it('may be given as undefined', () => {
    vi.stubEnv('KVM_PPC_BACKEND', 'software')
    const options = { backend: undefined, device: undefined } as unknown as HostOptions
    using host = openHost(options)
    expect(host.backend).toBe('software')
  })
})

describe('the device', () => {
  const kernels: [string, HostOptions['backend'] & string, string | undefined][] = [
    ['the real kernel', 'kvm', addonLacks],
    ['the model', 'software', undefined],
  ]
  for (const [name, backend, lacking] of kernels) {
    itUnless(lacking, `that is missing is an error that says what to do: ${name}`, () => {
      const error = errorOf(() => openHost({ backend, device: '/nonexistent' }))
      expectUnavailable(error, /^\/nonexistent does not exist: .*modprobe kvm/)
      expect(error).toMatchObject({
        cause: { code: 'ENOENT', errno: -2, syscall: 'open', operation: 'open' },
      })
    })

    itUnless(lacking, `that is none of KVM’s is an error that says what to do: ${name}`, () => {
      const error = errorOf(() => openHost({ backend, device: '/dev/null' }))
      expectUnavailable(error, /^\/dev\/null is not a KVM device/)
      expect(error).toMatchObject({
        cause: { code: 'ENOTTY', syscall: 'ioctl', operation: 'KVM_CHECK_EXTENSION' },
      })
      expect((error as Error).message).toMatch(/\/dev\/kvm/)
    })
  }

  itUnless(addonLacks, 'leaves no file open when it is none of KVM’s', () => {
    const before = openFiles()
    for (const device of ['/dev/null', '/dev/zero', '/nonexistent']) {
      expectUnavailable(
        errorOf(() => openHost({ backend: 'kvm', device })),
        /./,
      )
    }
    expect(openFiles()).toEqual(before)
  })

  it('leaves no file open in the model either', () => {
    const kernel = new SoftwareKernel()
    expectUnavailable(
      errorOf(() => new Host(kernel, '/dev/null')),
      /./,
    )
    expect(kernel.describe(3)).toBe(EBADF)
  })

  describeUnless(addonLacks, 'that may not be read', () => {
    let folder: string
    beforeEach(() => {
      folder = mkdtempSync(path.join(tmpdir(), 'kvm-ppc-onereg-'))
      chmodSync(folder, 0o755)
    })
    afterEach(() => {
      rmSync(folder, { recursive: true })
    })

    it('is an error that names the group kvm', () => {
      const device = path.join(folder, 'kvm')
      writeFileSync(device, '', { mode: 0 })
      expect(runChild('child-as-nobody.ts', [device], nobody)).toEqual({
        code: 'ERR_KVM_UNAVAILABLE',
        message: expect.stringMatching(
          /^\S+ may not be opened .*group kvm.*usermod -aG kvm/,
        ) as unknown,
        cause: 'EACCES',
      })
    })
  })

  it.each([
    ['EACCES', /group kvm.*usermod -aG kvm/],
    ['EPERM', /group kvm.*usermod -aG kvm/],
    ['ENOENT', /modprobe kvm.*container/],
    ['ENODEV', /modprobe kvm.*hypervisor mode/],
    ['ENXIO', /modprobe kvm.*hypervisor mode/],
    ['EMFILE', /^\/dev\/kvm could not be opened/],
  ] as const)('that gives %s is an error that says what to do', (errno, message) => {
    const kernel = new FailingKernel(new SoftwareKernel())
    kernel.fail({ errno, operation: 'open' })
    const error = errorOf(() => new Host(kernel))
    expectUnavailable(error, message)
    expect(error).toMatchObject({ cause: { code: errno, operation: 'open' } })
  })

  it('without ONE_REG is an error that says so, and leaves no file open', () => {
    class OldKernel extends SoftwareKernel {
      override checkExtension(fd: number, extension: number): number {
        return extension === 70 ? 0 : super.checkExtension(fd, extension)
      }
    }
    const kernel = new OldKernel()
    expectUnavailable(
      errorOf(() => new Host(kernel)),
      /\/dev\/kvm.*KVM_CAP_ONE_REG/,
    )
    expect(kernel.describe(3)).toBe(EBADF)
  })
})

describe('a host', () => {
  let kernel: FailingKernel
  let host: Host

  beforeEach(() => {
    kernel = new FailingKernel(new SoftwareKernel())
    host = new Host(kernel)
  })

  it('asks the device for its capabilities', () => {
    expect(host.checkExtension(70)).toBe(1)
    expect(host.checkExtension(0)).toBe(0)
    for (const extension of ['70', 70n, undefined]) {
      expect(() => host.checkExtension(extension as never)).toThrow(TypeError)
    }
    for (const extension of [-1, 1.5, NaN, 2 ** 31]) {
      expect(() => host.checkExtension(extension)).toThrow(RangeError)
    }
  })

  it.each([
    ['checkExtension', 'KVM_CHECK_EXTENSION', () => host.checkExtension(70)],
    ['createVm', 'KVM_CREATE_VM', () => host.createVm()],
    ['sample', 'clock_gettime', () => host.sample()],
  ] as const)('throws a KvmError when %s fails', (_name, operation, call) => {
    kernel.fail({ errno: 'ENOMEM', operation })
    const error = errorOf(call)
    expect(error).toBeInstanceOf(KvmError)
    expect(error).toMatchObject({ code: 'ENOMEM', errno: -12, operation })
  })

  it('makes vCPUs with ids, each id once in a VM', () => {
    const vm = host.createVm()
    expect(vm.createVcpu(0).id).toBe(0)
    expect(vm.createVcpu(7).id).toBe(7)
    expect(host.createVm().createVcpu(7).id).toBe(7)
    const error = errorOf(() => vm.createVcpu(7))
    expect(error).toBeInstanceOf(KvmError)
    expect(error).toMatchObject({
      code: 'EINVAL',
      errno: -22,
      syscall: 'ioctl',
      operation: 'KVM_CREATE_VCPU',
      vcpu: 7,
    })
    expect((error as Error).message).toMatch(/KVM_CREATE_VCPU on vCPU 7 .*EINVAL.*taken/)
  })

  it.each(['0', 0n, undefined, null])('takes no %o for the id of a vCPU', (id) => {
    const vm = host.createVm()
    const { calls } = kernel
    expect(() => vm.createVcpu(id as never)).toThrow(TypeError)
    expect(kernel.calls).toBe(calls)
  })

  it.each([-1, 0.5, NaN, 2 ** 31])('takes no %d for the id of a vCPU', (id) => {
    const vm = host.createVm()
    const { calls } = kernel
    expect(() => vm.createVcpu(id)).toThrow(RangeError)
    expect(kernel.calls).toBe(calls)
  })

  it('tells its timebase and that one’s frequency', () => {
    let now = 0n
    const options = { timebase: 1n << 63n, timebaseFrequency: 512_000_000n, time: () => now }
    const other = new Host(new SoftwareKernel(options))
    expect(other.timebaseFrequency).toBe(512_000_000n)
    expect(other.timebase()).toBe(1n << 63n)
    now = 1_000_000_000n
    expect(other.timebase()).toBe((1n << 63n) + 512_000_000n)
  })

  it('never takes a timebase that is none for one', () => {
    kernel.fail({ errno: 'ENOSYS', operation: 'mftb' })
    const error = errorOf(() => host.timebase())
    expectUnavailable(error, /timebase.*POWER/)
    expect(error).toMatchObject({ cause: { code: 'ENOSYS', operation: 'mftb', syscall: 'mftb' } })
  })

  it.each([-38n, 0n])('never guesses a frequency: the kernel says %d', (frequency) => {
    class Unknown extends SoftwareKernel {
      override timebaseFrequency(): bigint {
        return frequency
      }
    }
    const other = new Host(new Unknown())
    expectUnavailable(
      errorOf(() => other.timebaseFrequency),
      /frequency.*not known.*\/proc/,
    )
    expectUnavailable(
      errorOf(() => other.sample()),
      /frequency.*not known/,
    )
  })
})

describeUnless(addonLacks ?? otherMachineLacks, 'a real kernel that is not on POWER', () => {
  /** Stands for a /dev/kvm with ONE_REG, which few machines that are not POWER have. */
  class WithDevice extends NativeKernel {
    override open(): number {
      return 2 ** 31 - 1
    }
    override checkExtension(): number {
      return 1
    }
  }

  it('has no timebase', () => {
    const host = new Host(new WithDevice())
    const error = errorOf(() => host.timebase())
    expectUnavailable(error, new RegExp(`no timebase.*POWER.*this is ${process.arch}`))
    expect(error).toMatchObject({ cause: { code: 'ENOSYS', operation: 'mftb' } })
  })

  it('has no timebase frequency, and so no sample', () => {
    const host = new Host(new WithDevice())
    expectUnavailable(
      errorOf(() => host.timebaseFrequency),
      /frequency.*not known/,
    )
    expectUnavailable(
      errorOf(() => host.sample()),
      /frequency.*not known/,
    )
  })
})

describe('a sample', () => {
  function sampleOf(words: [bigint, bigint, bigint], timebaseFrequency = 512_000_000n) {
    class Stub extends SoftwareKernel {
      override sample(into: BigUint64Array): number {
        into.set(words)
        return 0
      }
    }
    return new Host(new Stub({ timebaseFrequency })).sample()
  }

  it('has the timebase, the wall clock with what is known of it, and the frequency', () => {
    expect(sampleOf([(1n << 64n) - 1n, 1_700_000_000_000_000_000n, 0n])).toEqual({
      timebase: (1n << 64n) - 1n,
      timeOfDayNs: 1_700_000_000_000_000_000n,
      timebaseFrequency: 512_000_000n,
      uncertaintyNs: 0n,
      clock: { synchronised: true, maxErrorNs: 0n },
    })
  })

  it('can be from before 1970', () => {
    expect(sampleOf([0n, (1n << 64n) - 5n, 0n]).timeOfDayNs).toBe(-5n)
  })

  it('is refused if the timebase went back within it, and not for a wide bracket', () => {
    expect(sampleOf([0n, 0n, (1n << 62n) - 1n]).uncertaintyNs).toBeGreaterThan(0n)
    for (const halfWidth of [1n << 62n, 1n << 63n]) {
      const error = caught(OneRegError, () => sampleOf([0n, 0n, halfWidth]))
      expect(error).toMatchObject({ code: 'ERR_KVM_UNAVAILABLE', reason: 'unsteady-timebase' })
      expect(error.message).toMatch(/timebase went back/)
    }
  })

  it.each([
    [0n, 512_000_000n, 0n],
    [1n, 512_000_000n, 2n], // 1.95 ns
    [255n, 512_000_000n, 499n], // 498.05 ns
    [256n, 512_000_000n, 500n],
    [257n, 512_000_000n, 502n], // 501.95 ns
    [1n, 1n, 1_000_000_000n],
    [1n, 33_333_333n, 31n], // 30.0000003 ns
    [1n, 4_294_967_295n, 1n], // 0.23 ns
    [1n, 1_000_000_000n, 1n],
  ])('rounds its uncertainty up: %d ticks at %d Hz are %d ns', (ticks, frequency, ns) => {
    expect(sampleOf([0n, 0n, ticks], frequency).uncertaintyNs).toBe(ns)
  })
})

describe('after closing', () => {
  let kernel: SoftwareKernel

  beforeEach(() => {
    kernel = new SoftwareKernel()
  })

  /** It is closed, says so, and nothing has reached the kernel. */
  function expectClosed(call: () => unknown): void {
    const { calls } = kernel
    const error = errorOf(call)
    expect(error).toBeInstanceOf(OneRegError)
    expect(error).toMatchObject({ code: 'ERR_KVM_CLOSED' })
    expect((error as Error).message).toMatch(/is closed$/)
    expect(kernel.calls).toBe(calls)
  }

  it.each<[string, (host: Host) => unknown]>([
    ['fd', (host) => host.fd],
    ['checkExtension', (host) => host.checkExtension(70)],
    ['createVm', (host) => host.createVm()],
    ['vcpu', (host) => host.vcpu(5, 0)],
    ['timebase', (host) => host.timebase()],
    ['timebaseFrequency', (host) => host.timebaseFrequency],
    ['sample', (host) => host.sample()],
  ])('a host refuses %s', (_name, use) => {
    const host = new Host(kernel)
    use(new Host(withVcpu()))
    host.close()
    expect(host.closed).toBe(true)
    expectClosed(() => use(host))
  })

  /** A kernel with a vCPU behind file descriptor 5 of its next host. */
  function withVcpu(): SoftwareKernel {
    const other = new SoftwareKernel()
    other.createVcpu(other.createVm(other.open('/dev/kvm'), 0), 0)
    return other
  }

  it.each(['vm.close', 'host.close'] as const)('a VM refuses everything: %s', (how) => {
    const host = new Host(kernel)
    const vm = host.createVm()
    ;(how === 'vm.close' ? vm : host).close()
    expectClosed(() => vm.fd)
    expectClosed(() => vm.createVcpu(0))
  })

  const uses: [string, (vcpu: Vcpu) => unknown][] = [
    ['fd', (vcpu) => vcpu.fd],
    ['get', (vcpu) => vcpu.get('TB_OFFSET')],
    [
      'set',
      (vcpu) => {
        vcpu.set('TB_OFFSET', 0n)
      },
    ],
    ['has', (vcpu) => vcpu.has('TB_OFFSET')],
    ['getRaw', (vcpu) => vcpu.getRaw(0x103000000000009cn)],
    [
      'setRaw',
      (vcpu) => {
        vcpu.setRaw(0x103000000000009cn, new Uint8Array(8))
      },
    ],
    ['read', (vcpu) => vcpu.read(['TB_OFFSET', 'DSISR'])],
    ['read of nothing', (vcpu) => vcpu.read([])],
    [
      'write',
      (vcpu) => {
        vcpu.write({ TB_OFFSET: 0n })
      },
    ],
    [
      'write of nothing',
      (vcpu) => {
        vcpu.write({})
      },
    ],
    ['snapshot', (vcpu) => vcpu.snapshot()],
    ['restore', (vcpu) => vcpu.restore({ DSISR: 0 })],
    ['restore of nothing', (vcpu) => vcpu.restore({})],
  ]
  describe.each(['vcpu.close', 'vm.close', 'host.close', 'host.close of a borrowed one'] as const)(
    'a vCPU by %s',
    (how) => {
      it.each(uses)('refuses %s', (_name, use) => {
        const host = new Host(kernel)
        const vm = host.createVm()
        const made = vm.createVcpu(0)
        const borrower = new Host(kernel)
        const vcpu = how.endsWith('borrowed one') ? borrower.vcpu(made.fd, 0) : made
        use(vcpu)
        if (how === 'vcpu.close') vcpu.close()
        else if (how === 'vm.close') vm.close()
        else if (how === 'host.close') host.close()
        else borrower.close()
        expectClosed(() => use(vcpu))
      })
    },
  )

  it('nothing touches a file that has got the old number since', () => {
    const host = new Host(kernel)
    const vm = host.createVm()
    const vcpu = vm.createVcpu(0)
    const numbers = [vm.fd, vcpu.fd]
    vcpu.close()
    vm.close()
    const newVm = host.createVm()
    const newVcpu = newVm.createVcpu(3)
    expect([newVm.fd, newVcpu.fd]).toEqual(numbers)
    expectClosed(() => {
      vcpu.set('TB_OFFSET', 1n)
    })
    vcpu.close()
    vm.close()
    expect(newVcpu.get('TB_OFFSET')).toBe(0n)
    expect(newVm.createVcpu(4).id).toBe(4)
  })

  it('closing once more does nothing', () => {
    const host = new Host(kernel)
    const vm = host.createVm()
    const vcpu = vm.createVcpu(0)
    for (const one of [vcpu, vm, host]) one.close()
    const { calls } = kernel
    for (const one of [vcpu, vm, host]) {
      one.close()
      one[Symbol.dispose]()
    }
    expect(kernel.calls).toBe(calls)
  })
})

describe('closing', () => {
  it('a host closes the VMs and vCPUs that were made through it, each once', () => {
    const kernel = new SoftwareKernel()
    const host = new Host(kernel)
    const vms = [host.createVm(), host.createVm()]
    const vcpus = vms.flatMap((vm) => [vm.createVcpu(0), vm.createVcpu(1)])
    const fds = [host.fd, ...vms.map(({ fd }) => fd), ...vcpus.map(({ fd }) => fd)]
    vcpus[0]?.close()
    vms[1]?.close()
    const { calls } = kernel
    host.close()
    expect(fds.map((fd) => kernel.describe(fd))).toEqual(fds.map(() => EBADF))
    // One vCPU, one VM and the device were left to close; seven readlinks came after.
    expect(kernel.calls).toBe(calls + 3 + fds.length)
  })

  it('a VM closes its vCPUs and leaves the host and other VMs', () => {
    const host = new Host(new SoftwareKernel())
    const [vm, other] = [host.createVm(), host.createVm()]
    const [vcpu, kept] = [vm.createVcpu(0), other.createVcpu(0)]
    const { fd } = vcpu
    vm.close()
    expect(host.kernel.describe(fd)).toBe(EBADF)
    expect(kept.get('TB_OFFSET')).toBe(0n)
    expect(host.createVm().createVcpu(0).get('TB_OFFSET')).toBe(0n)
  })

  it('goes on where the kernel gives an error for one', () => {
    const kernel = new FailingKernel(new SoftwareKernel())
    const host = new Host(kernel)
    const vcpu = host.createVm().createVcpu(0)
    const { fd } = vcpu
    kernel.fail({ errno: 'EIO', operation: 'close', times: 3 })
    host.close()
    expect([3, 4, 5].map((each) => kernel.describe(each))).toEqual([EBADF, EBADF, EBADF])
    expect(fd).toBe(5)
  })

  it('is done by using', () => {
    const kernel = new SoftwareKernel()
    {
      using host = new Host(kernel)
      using vm = host.createVm()
      using vcpu = vm.createVcpu(0)
      expect([host.fd, vm.fd, vcpu.fd]).toEqual([3, 4, 5])
    }
    expect([3, 4, 5].map((fd) => kernel.describe(fd))).toEqual([EBADF, EBADF, EBADF])
  })

  itUnless(x86KvmLacks, 'gives real files back to the kernel', () => {
    const before = openFiles()
    const host = openHost({ backend: 'kvm' })
    const vm = host.createVm()
    vm.createVcpu(0)
    vm.createVcpu(1)
    expect(openFiles().filter((file) => file.includes('kvm'))).toHaveLength(4)
    host.close()
    expect(openFiles()).toEqual(before)
  })
})

describe('a borrowed vCPU', () => {
  let kernel: SoftwareKernel
  let host: Host
  let kvm: number
  let vm: number
  let fd: number

  beforeEach(() => {
    kernel = new SoftwareKernel()
    host = new Host(kernel)
    // What the caller's own monitor opens.
    kvm = kernel.open('/dev/kvm')
    vm = kernel.createVm(kvm, 0)
    fd = kernel.createVcpu(vm, 12)
  })

  it('is used like one that was made here', () => {
    const vcpu = host.vcpu(fd, 12)
    vcpu.set('TB_OFFSET', 5n)
    expect(vcpu.get('TB_OFFSET')).toBe(16777216n)
    expect([vcpu.id, vcpu.fd, vcpu.host]).toEqual([12, fd, host])
  })

  it('is never closed here', () => {
    const [one, other] = [host.vcpu(fd, 12), host.vcpu(fd, 12)]
    one.close()
    expect(other.get('TB_OFFSET')).toBe(0n)
    host.close()
    expect(kernel.describe(fd)).toBe('anon_inode:kvm-vcpu:12')
    expect(kernel.close(fd)).toBe(0)
  })

  it.each<[string, () => number]>([
    ['a VM', () => vm],
    ['the device', () => kvm],
    ['another file', () => kernel.open('/dev/null')],
  ])('is not %s', (_what, open) => {
    const wrong = open()
    const error = errorOf(() => host.vcpu(wrong, 12))
    expect(error).toBeInstanceOf(TypeError)
    expect(error).toMatchObject({ code: 'ERR_INVALID_ARG_VALUE' })
    expect((error as Error).message).toMatch(/^fd must be the file descriptor of a vCPU, not /)
    expect((error as Error).message).toContain(String(kernel.describe(wrong)))
  })

  it('is not a closed file', () => {
    kernel.close(fd)
    const error = errorOf(() => host.vcpu(fd, 12))
    expect(error).toBeInstanceOf(KvmError)
    expect(error).toMatchObject({ code: 'EBADF', errno: -9, operation: 'readlink', vcpu: 12 })
  })

  it('is none whose name cannot be seen: the error says why that may be', () => {
    class Hidden extends SoftwareKernel {
      override describe(): number {
        return -13
      }
    }
    const error = errorOf(() => new Host(new Hidden()).vcpu(fd, 12))
    expect(error).toBeInstanceOf(KvmError)
    expect(error).toMatchObject({ code: 'EACCES', operation: 'readlink', vcpu: 12 })
    expect((error as Error).message).toMatch(/^readlink on vCPU 12 failed: EACCES \(\/proc is not /)
  })

  it('is the one of that id: the error names the id that it has', () => {
    const error = errorOf(() => host.vcpu(fd, 1))
    expect(error).toBeInstanceOf(TypeError)
    expect(error).toMatchObject({ code: 'ERR_INVALID_ARG_VALUE' })
    expect((error as Error).message).toMatch(/^id must be 12, .* not 1$/)
  })

  function describedAs(link: string): Host {
    class Described extends SoftwareKernel {
      override describe(): string {
        return link
      }
    }
    return new Host(new Described())
  }

  it('is taken at its word by kernels before 4.17, which do not tell the id', () => {
    expect(describedAs('anon_inode:kvm-vcpu').vcpu(3, 9).id).toBe(9)
  })

  it.each([
    'anon_inode:kvm-vm',
    'anon_inode:kvm-vcpu:',
    'anon_inode:kvm-vcpu-stats:0',
    'anon_inode:kvm-vcpu:0 (deleted)',
    '/tmp/anon_inode:kvm-vcpu:0',
    'anon_inode:[eventfd]',
    'pipe:[1234]',
  ])('is not what /proc/self/fd calls %s', (link) => {
    expect(() => describedAs(link).vcpu(3, 0)).toThrow(
      expect.objectContaining({ code: 'ERR_INVALID_ARG_VALUE' }),
    )
  })

  it.each([undefined, null, '5', 5n])('has numbers for its file and its id, not %o', (wrong) => {
    const { calls } = kernel
    expect(() => host.vcpu(wrong as never, 12)).toThrow(TypeError)
    expect(() => host.vcpu(fd, wrong as never)).toThrow(TypeError)
    expect(kernel.calls).toBe(calls)
  })

  it.each([-1, 0.5, NaN, 2 ** 31])('has integers of its own range for both, not %d', (wrong) => {
    const { calls } = kernel
    expect(() => host.vcpu(wrong, 12)).toThrow(RangeError)
    expect(() => host.vcpu(fd, wrong)).toThrow(RangeError)
    expect(kernel.calls).toBe(calls)
  })
})

describeUnless(x86KvmLacks, 'a vCPU of the real kernel', () => {
  const TSC = 0x2030000200000010n
  let host: Host

  beforeEach(() => {
    host = openHost({ backend: 'kvm' })
  })

  afterEach(() => {
    host.close()
  })

  it('can be borrowed, and is not closed', () => {
    const made = host.createVm().createVcpu(3)
    const borrowed = host.vcpu(made.fd, 3)
    expect(borrowed.getRaw(TSC)).toHaveLength(8)
    borrowed.close()
    expect(made.getRaw(TSC)).toHaveLength(8)
    expect(() => host.vcpu(made.fd, 2)).toThrow(/^id must be 3, /)
  })

  it('is not a VM, the device, another file, nor a closed one', () => {
    const file = openSync('/dev/null', 'r')
    const wrongs = [host.createVm().fd, host.fd, file]
    for (const fd of wrongs) {
      expect(() => host.vcpu(fd, 0)).toThrow(
        expect.objectContaining({ code: 'ERR_INVALID_ARG_VALUE' }),
      )
    }
    closeSync(file)
    expect(() => host.vcpu(file, 0)).toThrow(
      expect.objectContaining({ code: 'EBADF', operation: 'readlink' }),
    )
  })

  it('gives EIO in another process, and the error names that as the cause', () => {
    const vcpu = host.createVm().createVcpu(1)
    const errors = runChild('child-borrowing.ts', ['1', String(TSC)], { fds: [vcpu.fd] })
    const inAnotherProcess = expect.stringMatching(/EIO.*made by another process/) as unknown
    const common = { name: 'KvmError', code: 'EIO', errno: -5, syscall: 'ioctl', vcpu: 1 }
    expect(errors).toEqual([
      {
        ...common,
        operation: 'KVM_GET_ONE_REG',
        register: '0x2030000200000010',
        message: inAnotherProcess,
      },
      {
        ...common,
        operation: 'KVM_SET_ONE_REG',
        register: '0x2030000200000010',
        message: inAnotherProcess,
      },
      { ...common, operation: 'KVM_GET_ONE_REG', register: 'TB_OFFSET', message: inAnotherProcess },
      { ...common, operation: 'KVM_GET_ONE_REG', register: 'TB_OFFSET', message: inAnotherProcess },
    ])
    // It still works here.
    expect(vcpu.getRaw(TSC)).toHaveLength(8)
  })
})
