import { closeSync, fstatSync, openSync } from 'node:fs'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { OneRegBatch } from '../../lib/kernel/batch.ts'
import type { BoundRegisters } from '../../lib/kvm/bound-registers.ts'
import { Host } from '../../lib/kvm/host.ts'
import type { Kernel } from '../../lib/kernel/kernel.ts'
import { NativeKernel } from '../../lib/kernel/native.ts'
import { SoftwareKernel } from '../../lib/kernel/software/kernel.ts'
import { FailingKernel } from '../../lib/testing/failing-kernel.ts'
import { inheritTimebase } from '../../lib/timebase/inherit.ts'
import { loadTimebase } from '../../lib/timebase/load.ts'
import { saveTimebase } from '../../lib/timebase/save.ts'
import type { Vcpu } from '../../lib/kvm/vcpu.ts'
import { emulated } from '../support/emulated.ts'
import { collectGarbage } from '../support/garbage.ts'
import { describeUnless, kvmLacks } from '../support/lacking.ts'

const EBADF = -9
const TSC = 0x2030000200000010n

interface Warning extends Error {
  code?: unknown
}

let warnings: Warning[]
function onWarning(warning: Warning): void {
  if (warning.code === 'KVM_PPC_UNCLOSED') warnings.push(warning)
}

beforeEach(async () => {
  // What other tests have left.
  await collectGarbage()
  warnings = []
  process.on('warning', onWarning)
})

afterEach(() => {
  process.off('warning', onWarning)
})

const kernels: [string, () => Kernel, string | undefined][] = [
  // An emulated processor takes seconds to collect garbage: it does so for the real kernel alone.
  ...(emulated ? [] : [['the model', () => new SoftwareKernel(), undefined] as never]),
  ['the real kernel', () => new NativeKernel(), kvmLacks],
]

for (const [name, makeKernel, lacking] of kernels) {
  describeUnless(lacking, `objects that were not closed, on ${name}`, () => {
    let kernel: Kernel

    beforeEach(() => {
      kernel = makeKernel()
    })

    function open(fds: readonly number[]): boolean[] {
      return fds.map((fd) => kernel.describe(fd) !== EBADF)
    }

    const guestCalls: [string, (vcpus: Vcpu[]) => unknown][] = [
      ['a save', (vcpus) => saveTimebase(vcpus)],
      ['a load', (vcpus) => loadTimebase(vcpus, { ...saveTimebase(vcpus) })],
      [
        'a load that fails',
        (vcpus) => {
          const [first] = vcpus
          const state = saveTimebase(vcpus)
          expect(() => loadTimebase(vcpus.slice(0, 1), state)).toThrow()
          return first
        },
      ],
      ['inheriting', ([from, to]) => from && to && inheritTimebase(from, to)],
      ['a get', ([vcpu]) => vcpu?.get('DAR')],
      ['a read', ([vcpu]) => vcpu?.read(['DAR', 'DSISR'])],
      ['a snapshot', ([vcpu]) => vcpu?.snapshot()],
      ['bound registers', ([vcpu]) => vcpu?.bind(['DAR']).names],
    ]

    it.each(name === 'the model' ? guestCalls : [])(
      'is closed when it is garbage, after %s',
      async (_, call) => {
        const host = new Host(kernel)
        const fds = (() => {
          const vm = host.createVm()
          const vcpus = [vm.createVcpu(0), vm.createVcpu(1)]
          call(vcpus)
          return [vm.fd, ...vcpus.map(({ fd }) => fd)]
        })()
        await collectGarbage()
        expect(open(fds)).toEqual([false, false, false])
        expect(warnings).toHaveLength(1)
        host.close()
      },
    )

    it('is closed when it is garbage: a host with its VMs and vCPUs, with one warning', async () => {
      const fds = (() => {
        const host = new Host(kernel)
        const vm = host.createVm()
        return [host, vm, vm.createVcpu(0), vm.createVcpu(1)].map(({ fd }) => fd)
      })()
      expect(open(fds)).toEqual([true, true, true, true])
      await collectGarbage()
      expect(open(fds)).toEqual([false, false, false, false])
      expect(warnings).toHaveLength(1)
      expect(warnings[0]?.name).toBe('KvmPpcWarning')
      const names = ['the host', 'a VM', 'vCPU 0', 'vCPU 1']
      const list = names.map((name, index) => `${name} (fd ${fds[index] ?? ''})`).join(', ')
      expect(warnings[0]?.message).toBe(
        `Garbage-collected before it was closed: ${list}. ` +
          "It is closed now, unless its number may be another file's. " +
          'Garbage collection can come late or never: call close(), or declare it with "using"',
      )
    })

    it('is closed while its host lives: a VM with its vCPUs', async () => {
      const host = new Host(kernel)
      const fds = (() => {
        const vm = host.createVm()
        const vcpu = vm.createVcpu(0)
        // The host remembers the register that was asked for last.
        vcpu.has('TB_OFFSET')
        return [vm.fd, vcpu.fd]
      })()
      await collectGarbage()
      expect([open(fds), host.closed]).toEqual([[false, false], false])
      expect(warnings).toHaveLength(1)
      expect(host.createVm().fd).toBe(fds[0])
      host.close()
    })

    it('is closed while its VM lives: a vCPU', async () => {
      using host = new Host(kernel)
      using vm = host.createVm()
      const [dropped, kept] = [(() => vm.createVcpu(0).fd)(), vm.createVcpu(1)]
      await collectGarbage()
      expect(open([dropped, kept.fd])).toEqual([false, true])
      expect(warnings.map(({ message }) => message)).toEqual([
        expect.stringContaining(`closed: vCPU 0 (fd ${dropped}). `),
      ])
      expect(kept.has('TB_OFFSET')).toBe(process.arch === 'ppc64' || name === 'the model')
    })

    it.each<[string, (vcpu: Vcpu) => Vcpu | BoundRegisters]>([
      ['a vCPU', (vcpu) => vcpu],
      ['bound registers', (vcpu) => vcpu.bind(['TB_OFFSET'])],
    ])('stays open as long as it is needed: by %s, with its VM and host', async (_name, hold) => {
      const { held, fds } = (() => {
        const host = new Host(kernel)
        const vm = host.createVm()
        const vcpu = vm.createVcpu(0)
        return { held: hold(vcpu), fds: [host.fd, vm.fd, vcpu.fd] }
      })()
      await collectGarbage()
      expect(open(fds)).toEqual([true, true, true])
      expect(warnings).toEqual([])
      ;('vcpu' in held ? held.vcpu : held).host.close()
      expect(open(fds)).toEqual([false, false, false])
    })

    it('is none where all was closed, and by whom does not matter', async () => {
      ;(() => {
        const host = new Host(kernel)
        host.createVm().createVcpu(0).close()
        host.createVm().createVcpu(0)
        host.close()
      })()
      await collectGarbage()
      expect(warnings).toEqual([])
    })

    it('is closed by its host, between becoming garbage and being found to be', () => {
      const host = new Host(kernel)
      const fds = [(() => host.createVm().fd)(), host.createVm().createVcpu(0).fd]
      host.close()
      expect(open(fds)).toEqual([false, false])
    })

    it('is not what cannot be seen to be ours still', async () => {
      class Unknowing extends FailingKernel {
        override fileId(): number {
          return 0
        }
      }
      const fds = (() => {
        const host = new Host(new Unknowing(kernel))
        return [host.fd, host.createVm().fd]
      })()
      await collectGarbage()
      expect(open(fds)).toEqual([true, true])
      expect(warnings).toHaveLength(1)
      for (const fd of fds) kernel.close(fd)
    })

    it('is not a vCPU of another VM that has the number and the id by now', async () => {
      using host = new Host(kernel)
      using vm = host.createVm()
      using other = host.createVm()
      const fd = (() => {
        const dropped = vm.createVcpu(0)
        // Past the library, as a monitor's own code may do.
        kernel.close(dropped.fd)
        return dropped.fd
      })()
      const vcpu = other.createVcpu(0)
      expect(vcpu.fd).toBe(fd)
      await collectGarbage()
      expect(open([fd])).toEqual([true])
      expect(vcpu.has('MAS0')).toBe(false)
    })

    it('is not what was borrowed', async () => {
      using owner = new Host(kernel)
      using vm = owner.createVm()
      using vcpu = vm.createVcpu(3)
      ;(() => {
        using host = new Host(kernel)
        host.vcpu(vcpu.fd, 3)
        owner.vcpu(vcpu.fd, 3)
      })()
      await collectGarbage()
      expect(open([vcpu.fd])).toEqual([true])
      expect(warnings).toEqual([])
    })
  })
}

describe('a vCPU that is garbage while a call is in flight', () => {
  it('is closed when the call ends', async () => {
    let end = (): void => undefined
    class Slow extends SoftwareKernel {
      override async setOneRegsAsync(batch: OneRegBatch): Promise<number> {
        const ended = new Promise<void>((resolve) => (end = resolve))
        await ended
        return this.setOneRegs(batch)
      }
    }
    const kernel = new Slow()
    using host = new Host(kernel)
    using vm = host.createVm()
    const controller = new AbortController()
    const { fd, call } = (() => {
      const vcpu = vm.createVcpu(0)
      return { fd: vcpu.fd, call: vcpu.setAsync('DAR', 1n, { signal: controller.signal }) }
    })()
    await collectGarbage()
    expect(kernel.describe(fd)).toBe('anon_inode:kvm-vcpu:0')
    expect(warnings).toEqual([])
    // The call is not awaited from here on, but the kernel has begun it.
    controller.abort()
    await expect(call).rejects.toMatchObject({ name: 'AbortError' })
    await collectGarbage()
    expect(kernel.describe(fd)).toBe('anon_inode:kvm-vcpu:0')
    end()
    await collectGarbage()
    expect(kernel.describe(fd)).toBe(EBADF)
    expect(warnings).toHaveLength(1)
  })
})

describe('a guest of many vCPUs that was not closed', () => {
  it('is told of in a line', async () => {
    const host = new Host(new SoftwareKernel())
    ;(() => {
      const vm = host.createVm()
      for (let id = 0; id < 100; id++) vm.createVcpu(id)
    })()
    await collectGarbage()
    expect(warnings).toHaveLength(1)
    expect(warnings[0]?.message).toMatch(/, 97 more\. /)
    expect(warnings[0]?.message.length).toBeLessThan(300)
  })
})

describeUnless(kvmLacks, 'a number that is another file’s by now', () => {
  type Owner = Host | ReturnType<Host['createVm']> | Vcpu
  let host: Host
  let files: number[]

  beforeEach(() => {
    host = new Host(new NativeKernel())
    files = []
  })

  afterEach(() => {
    host.close()
    for (const file of files) closeSync(file)
  })

  /** A file that has this number, which must be free. */
  function fileWithNumber(fd: number): () => void {
    let file = -1
    while (file < fd) files.push((file = openSync('/dev/zero', 'r')))
    expect(file).toBe(fd)
    const { ino, rdev } = fstatSync(fd)
    return () => {
      expect(fstatSync(fd)).toMatchObject({ ino, rdev })
    }
  }

  const owners: [string, () => Owner][] = [
    ['a host', () => new Host(new NativeKernel())],
    ['a VM', () => host.createVm()],
    ['a vCPU', () => host.createVm().createVcpu(0)],
  ]

  const uses: ((owner: Owner) => unknown)[] = [
    (owner) => owner.fd,
    (owner) => (owner instanceof Host ? owner.createVm() : undefined),
    (owner) => ('createVcpu' in owner ? owner.createVcpu(1) : undefined),
    (owner) => ('getRaw' in owner ? owner.getRaw(TSC) : undefined),
    (owner) => ('get' in owner ? owner.get('TB_OFFSET') : undefined),
    (owner) => {
      if ('set' in owner) owner.set('TB_OFFSET', 0n)
    },
  ]

  it.each(owners)('is left alone when %s that had it is used, and closed again', (_name, make) => {
    const owner = make()
    const { fd } = owner
    if ('has' in owner) owner.has('TB_OFFSET')
    owner.close()
    const expectUntouched = fileWithNumber(fd)
    for (const use of uses) {
      // Refused by us, or not what this one does: ENOTTY would have come from the file.
      try {
        use(owner)
      } catch (error) {
        expect(error).toMatchObject({ code: 'ERR_KVM_CLOSED' })
      }
    }
    owner.close()
    owner[Symbol.dispose]()
    expectUntouched()
  })

  it.each(owners)('is left alone when %s that had it is garbage', async (_name, make) => {
    const fd = (() => {
      const owner = make()
      const { fd } = owner
      owner.close()
      return fd
    })()
    const expectUntouched = fileWithNumber(fd)
    await collectGarbage()
    expectUntouched()
  })

  it.each(owners)('is left alone if %s was closed behind our back', async (_name, make) => {
    const fd = (() => make().fd)()
    closeSync(fd)
    const expectUntouched = fileWithNumber(fd)
    await collectGarbage()
    expectUntouched()
    expect(warnings).toHaveLength(1)
  })

  it('is left alone when a borrowed vCPU had it', async () => {
    const expectUntouched = (() => {
      using vm = host.createVm()
      const made = vm.createVcpu(0)
      const ofThisLibrary = host.vcpu(made.fd, 0)
      const { fd } = made
      made.close()
      const own = host.kernel.createVcpu(vm.fd, 1)
      expect(own).toBe(fd)
      const borrowed = host.vcpu(own, 1)
      closeSync(own)
      const expectUntouched = fileWithNumber(fd)
      expect(() => ofThisLibrary.get('TB_OFFSET')).toThrow(
        expect.objectContaining({ code: 'ERR_KVM_CLOSED' }),
      )
      // The caller has closed it too early, and the kernel says that the file is not KVM's.
      expect(() => borrowed.get('TB_OFFSET')).toThrow(expect.objectContaining({ code: 'ENOTTY' }))
      borrowed.close()
      ofThisLibrary.close()
      return expectUntouched
    })()
    await collectGarbage()
    expectUntouched()
  })
})
