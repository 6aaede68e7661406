import { expect } from 'vitest'
import { registers } from '../../../lib/registers.ts'
import { NO_FD } from '../../support/wrong-arguments.ts'
import { measured } from './measured.ts'
import type { Kind } from './measured.ts'
import { outcome } from './rig.ts'
import type { Check, Rig } from './rig.ts'

const CAP_ONE_REG = 70
const { id: TB_OFFSET } = registers.TB_OFFSET

/** Every call that takes a file descriptor, by its name. */
const calls = {
  close: ({ kernel }, fd) => kernel.close(fd),
  checkExtension: ({ kernel }, fd) => kernel.checkExtension(fd, CAP_ONE_REG),
  createVm: (rig, fd) => ownIfOpen(rig, rig.kernel.createVm(fd, 0)),
  createVcpu: (rig, fd) => ownIfOpen(rig, rig.kernel.createVcpu(fd, 0)),
  getOneReg: ({ kernel }, fd) => kernel.getOneReg(fd, TB_OFFSET, new Uint8Array(8)),
  setOneReg: ({ kernel }, fd) => kernel.setOneReg(fd, TB_OFFSET, new Uint8Array(8)),
} satisfies Record<string, (rig: Rig, fd: number) => number>

type CallName = keyof typeof calls
const callNames = Object.keys(calls) as CallName[]

function ownIfOpen(rig: Rig, fd: number): number {
  return fd < 0 ? fd : rig.own(fd)
}

export function checkFiles(check: Check, kind: Kind): void {
  const { idTaken } = measured(kind)

  check('names them as /proc/self/fd does', (rig) => {
    const vm = rig.vm()
    expect(rig.kernel.describe(rig.kvm)).toBe('/dev/kvm')
    expect(rig.kernel.describe(vm)).toBe('anon_inode:kvm-vm')
    expect(rig.kernel.describe(rig.vcpu(vm, 0))).toBe('anon_inode:kvm-vcpu:0')
    expect(rig.kernel.describe(rig.vcpu(vm, 17))).toBe('anon_inode:kvm-vcpu:17')
    expect(rig.kernel.describe(rig.null())).toBe('/dev/null')
  })

  check('gives ENOENT for a device that is not there', ({ kernel }) => {
    expect(outcome(kernel.open('/nonexistent'))).toBe('ENOENT')
    expect(outcome(kernel.open(''))).toBe('ENOENT')
  })

  check('closes with 0, once', (rig) => {
    const fd = rig.kernel.open('/dev/null')
    expect(rig.kernel.close(fd)).toBe(0)
    expect(outcome(rig.kernel.close(fd))).toBe('EBADF')
  })

  for (const name of callNames) {
    check(`${name} gives EBADF for a file that is closed`, (rig) => {
      expect(outcome(calls[name](rig, rig.closed()))).toBe('EBADF')
      expect(outcome(calls[name](rig, NO_FD))).toBe('EBADF')
    })
  }

  check('has no name for a file that is closed', (rig) => {
    const { kernel } = rig
    expect([kernel.describe(rig.closed()), kernel.describe(NO_FD)].map(nameOfError)).toEqual([
      'EBADF',
      'EBADF',
    ])
  })

  const answers: [what: string, open: (rig: Rig) => number, Partial<Record<CallName, string>>][] = [
    [
      '/dev/null',
      (rig) => rig.null(),
      {
        checkExtension: 'ENOTTY',
        createVm: 'ENOTTY',
        createVcpu: 'ENOTTY',
        getOneReg: 'ENOTTY',
        setOneReg: 'ENOTTY',
      },
    ],
    [
      '/dev/kvm',
      (rig) => rig.kvm,
      { createVcpu: 'EINVAL', getOneReg: 'EINVAL', setOneReg: 'EINVAL' },
    ],
    ['a VM', (rig) => rig.vm(), { createVm: 'ENOTTY', getOneReg: 'ENOTTY', setOneReg: 'ENOTTY' }],
    [
      'a vCPU',
      (rig) => rig.vcpu(),
      { checkExtension: 'EINVAL', createVm: 'EINVAL', createVcpu: 'EINVAL' },
    ],
  ]
  for (const [what, open, refused] of answers) {
    check(`on ${what} refuses what is another kind of file's, and nothing else`, (rig) => {
      const fd = open(rig)
      const failed = callNames
        .filter((name) => name !== 'close')
        .map((name) => [name, outcome(calls[name](rig, fd))] as const)
        .filter(([, result]) => typeof result === 'string')
      expect(Object.fromEntries(failed)).toEqual(refused)
    })
  }

  check('has the capabilities of KVM on POWER, on the device and on a VM', (rig) => {
    const vm = rig.vm()
    for (const fd of [rig.kvm, vm]) {
      expect(rig.kernel.checkExtension(fd, CAP_ONE_REG)).toBe(1)
      expect(rig.kernel.checkExtension(fd, 66)).toBe(2048) // KVM_CAP_MAX_VCPUS
      expect(rig.kernel.checkExtension(fd, 67)).toBe(1) // KVM_CAP_PPC_HIOR
      expect(rig.kernel.checkExtension(fd, 68)).toBe(1) // KVM_CAP_PPC_PAPR
      expect(rig.kernel.checkExtension(fd, 0)).toBe(0) // KVM_CAP_IRQCHIP is x86's
      expect(rig.kernel.checkExtension(fd, 1_000_000)).toBe(0)
    }
  })

  check('makes VMs of type 0 and 1, and gives EINVAL for 2 (PR is not loaded) and 7', (rig) => {
    const { kernel, kvm } = rig
    expect(kernel.describe(rig.own(kernel.createVm(kvm, 0)))).toBe('anon_inode:kvm-vm')
    expect(kernel.describe(rig.own(kernel.createVm(kvm, 1)))).toBe('anon_inode:kvm-vm')
    expect(outcome(kernel.createVm(kvm, 2))).toBe('EINVAL')
    expect(outcome(kernel.createVm(kvm, 7))).toBe('EINVAL')
  })

  check('makes vCPUs with ids below 2048, and gives EINVAL from there on', (rig) => {
    const vm = rig.vm()
    for (const id of [0, 1, 1023, 1024, 2047]) {
      expect(rig.kernel.describe(rig.vcpu(vm, id))).toBe(`anon_inode:kvm-vcpu:${id}`)
    }
    for (const id of [2048, 4096, 5000, 2 ** 31 - 1]) {
      expect(outcome(rig.kernel.createVcpu(vm, id))).toBe('EINVAL')
    }
  })

  check(`gives ${idTaken} for a vCPU id that is taken, also after that vCPU is closed`, (rig) => {
    const vm = rig.vm()
    const vcpu = rig.vcpu(vm, 3)
    expect(outcome(rig.kernel.createVcpu(vm, 3))).toBe(idTaken)
    rig.closeFile(vcpu)
    expect(outcome(rig.kernel.createVcpu(vm, 3))).toBe(idTaken)
  })

  check('lets two VMs have a vCPU of the same id, each with registers of its own', (rig) => {
    const [one, other] = [rig.vcpu(), rig.vcpu()]
    expect(rig.set(one, 'DAR', 5n)).toBe(0)
    expect(rig.get(other, 'DAR')).toBe(0n)
  })

  check('keeps a vCPU alive whose VM is closed', (rig) => {
    const vm = rig.vm()
    const vcpu = rig.vcpu(vm)
    rig.set(vcpu, 'TB_OFFSET', 1n << 33n)
    rig.closeFile(vm)
    expect(rig.get(vcpu, 'TB_OFFSET')).toBe(1n << 33n)
    expect(rig.setAndGet(vcpu, 'TB_OFFSET', 1n << 34n)).toBe(1n << 34n)
  })

  check('keeps a VM alive whose device is closed', (rig) => {
    const vm = rig.vm()
    rig.closeFile(rig.kvm)
    expect(rig.kernel.describe(rig.vcpu(vm))).toBe('anon_inode:kvm-vcpu:0')
  })
}

function nameOfError(result: string | number): string | number {
  return typeof result === 'number' ? outcome(result) : result
}
