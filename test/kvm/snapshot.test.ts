import { describe, expect, it, vi } from 'vitest'
import type { OneRegBatch } from '../../lib/kernel/batch.ts'
import { Host } from '../../lib/kvm/host.ts'
import { KvmError, OneRegError, RestoreIncompleteError } from '../../lib/errors.ts'
import { registerNames, registers } from '../../lib/registers.ts'
import type { RegisterName, RegisterValues } from '../../lib/registers.ts'
import { ticksToDecrementer } from '../../lib/testing/index.ts'
import { SoftwareKernel } from '../../lib/kernel/software/kernel.ts'
import { FailingKernel } from '../../lib/testing/failing-kernel.ts'
import type { Vcpu } from '../../lib/kvm/vcpu.ts'
import { caught } from '../support/caught.ts'
import { STEP, Side } from '../support/host-pair.ts'
import { idsOf } from '../support/ids-of.ts'
import { RelativeDecrementerKernel } from '../support/kernels.ts'

function side(kernel = new SoftwareKernel({ time: () => 0n, timebase: 1_000n })) {
  return new Side(new FailingKernel(kernel), [0, 1])
}

function freshVcpu(): Vcpu {
  return side().vcpu(0)
}

function namesIn(snapshot: RegisterValues): string[] {
  return Object.keys(snapshot).sort()
}

/** A guest's address and a length, as the kernel has them in VPA_SLB and VPA_DTL. */
function area(address: bigint, length: bigint): Uint8Array {
  return new Uint8Array(BigUint64Array.of(address, length).buffer)
}

const NO_AREA = area(0n, 0n)
const vpa = { VPA_ADDR: 0x10000n, VPA_SLB: area(0x20000n, 128n), VPA_DTL: area(0x30000n, 480n) }

/** Fills every register with a value of its own, as far as the kernel takes it. */
function fill(vcpu: Vcpu): void {
  registerNames.forEach((name, index) => {
    if (name.startsWith('VPA') || name === 'TB_OFFSET' || !vcpu.has(name)) return
    const bytes = Uint8Array.from({ length: registers[name].width / 8 }, (_, byte) => index + byte)
    try {
      vcpu.setRaw(registers[name].id, bytes)
    } catch (error) {
      expect(error).toMatchObject({ code: 'EINVAL' })
    }
  })
  vcpu.set('ARCH_COMPAT', 0x0f00_0004)
  vcpu.set('TB_OFFSET', 7n * STEP)
  vcpu.set('DEC_EXPIRY', 123_456n)
  vcpu.write(vpa)
}

describe('a snapshot', () => {
  it('has the registers that the kernel has, and no others', () => {
    const vcpu = freshVcpu()
    const snapshot = vcpu.snapshot()
    expect(namesIn(snapshot)).toEqual(registerNames.filter((name) => vcpu.has(name)).sort())
    // As many as were counted on a POWER9 host with Linux 6.12.
    expect(namesIn(snapshot)).toHaveLength(168)
    for (const name of ['IAC1', 'MAS0', 'TM_GPR0', 'TM_VSR63', 'ICP_STATE', 'VP_STATE']) {
      expect(snapshot).not.toHaveProperty(name)
    }
  })

  it('has each value as get gives it', () => {
    const vcpu = freshVcpu()
    fill(vcpu)
    const snapshot = vcpu.snapshot()
    for (const name of Object.keys(snapshot) as RegisterName[]) {
      expect([name, snapshot[name]]).toEqual([name, vcpu.get(name)])
    }
    expect(snapshot).toMatchObject({ TB_OFFSET: 7n * STEP, DEC_EXPIRY: 123_456n, ...vpa })
  })

  it('does not change with the vCPU afterwards', () => {
    const vcpu = freshVcpu()
    const snapshot = vcpu.snapshot()
    const copy = structuredClone(snapshot)
    fill(vcpu)
    vcpu.snapshot()
    expect(snapshot).toEqual(copy)
  })

  it('lacks what this kernel lacks', () => {
    const { vcpus } = side(new SoftwareKernel({ without: ['DEC_EXPIRY', 'VSCR'] }))
    const [snapshot = {}] = vcpus.map((vcpu) => vcpu.snapshot())
    expect(namesIn(snapshot)).toHaveLength(166)
    expect(snapshot).not.toHaveProperty('DEC_EXPIRY')
    expect(snapshot).not.toHaveProperty('VSCR')
  })

  it('is taken in one crossing', () => {
    const { kernel, vcpus } = side()
    const crossing = vi.spyOn(kernel, 'getOneRegs')
    const single = vi.spyOn(kernel, 'getOneReg')
    vcpus[0]?.snapshot()
    expect(crossing).toHaveBeenCalledTimes(1)
    expect(single).not.toHaveBeenCalled()
  })

  it.each(['vCPU', 'VM', 'host'] as const)('of a closed %s is refused', (what) => {
    const { kernel, host, vm, vcpus } = side()
    const [vcpu] = vcpus
    ;({ vCPU: vcpu, VM: vm, host })[what]?.close()
    const { calls } = kernel
    expect(caught(OneRegError, () => vcpu?.snapshot()).code).toBe('ERR_KVM_CLOSED')
    expect(caught(OneRegError, () => vcpu?.restore({ DAR: 1n })).code).toBe('ERR_KVM_CLOSED')
    expect(kernel.calls).toBe(calls)
  })
})

describe('which registers there are', () => {
  it('is asked only once per VM', () => {
    const { kernel, host, vcpus } = side()
    const counts = [...vcpus, host.createVm().createVcpu(0), ...vcpus].map((vcpu) => {
      const { calls } = kernel
      vcpu.snapshot()
      return kernel.calls - calls
    })
    // Later ones ask for the 168 that there are and the two whose device is missing.
    expect(counts).toEqual([310, 170, 310, 170, 170])
  })

  it('is asked of an HV guest too after one of PR, on the same host', () => {
    const inPr = new Set([registers.TB_OFFSET.id, registers.LPCR_64.id, registers.PURR.id])
    class BothKinds extends SoftwareKernel {
      readonly pr = new Set<number>()
      override getOneRegs(batch: OneRegBatch): number {
        let failure = super.getOneRegs(batch)
        for (let index = 0; index < batch.used; index++) {
          if (!this.pr.has(batch.fds[index] ?? -1) || !inPr.has(batch.ids[index] ?? 0n)) continue
          batch.results[index] = -22
          failure ||= -22
        }
        return failure
      }
    }
    const kernel = new BothKinds()
    const host = new Host(kernel)
    const [pr, hv] = [host.createVm().createVcpu(0), host.createVm().createVcpu(0)]
    kernel.pr.add(pr.fd)
    const [borrowedPr, borrowedHv] = [host.vcpu(pr.fd, 0), host.vcpu(hv.fd, 0)]
    for (const vcpu of [pr, borrowedPr]) expect(vcpu.snapshot()).not.toHaveProperty('TB_OFFSET')
    for (const vcpu of [hv, borrowedHv]) expect(Object.keys(vcpu.snapshot())).toHaveLength(168)
  })

  it('is asked again on another host', () => {
    side().vcpu(0).snapshot()
    const { kernel, ...other } = side()
    const { calls } = kernel
    other.vcpus[0]?.snapshot()
    expect(kernel.calls - calls).toBe(310)
  })

  it('is asked again where the device was missing', () => {
    const { kernel, vcpus } = side()
    const crossing = vi.spyOn(kernel, 'getOneRegs')
    for (const vcpu of vcpus) vcpu.snapshot()
    const asked = crossing.mock.lastCall?.[0].ids
    expect(asked).toContain(registers.ICP_STATE.id)
    expect(asked).toContain(registers.VP_STATE.id)
    expect(asked).not.toContain(registers.MAS0.id)
  })

  it('is not learned from a file that is no vCPU, of which there is no snapshot', () => {
    const { kernel, host, vcpus } = side()
    const [lent, other] = vcpus.map(({ fd, id }) => host.vcpu(fd, id))
    const fd = lent?.fd ?? -1
    // The monitor that it belongs to closes it, and the number is another file's.
    kernel.close(fd)
    expect(kernel.open('/dev/kvm')).toBe(fd)
    const error = caught(KvmError, () => lent?.snapshot())
    expect(error).toMatchObject({ code: 'EINVAL', operation: 'KVM_GET_ONE_REG', vcpu: 0 })
    expect(error.message).toContain('the descriptor is not a vCPU')
    expect(namesIn(other?.snapshot() ?? {})).toHaveLength(168)
  })

  it.each(['ENXIO', 'ENOENT', 'EPERM', 'EOPNOTSUPP'] as const)('is not settled by %s', (errno) => {
    const { kernel, vcpus } = side()
    kernel.fail({ errno, register: 'DAR' })
    const [without, withIt] = vcpus.map((vcpu) => vcpu.snapshot())
    expect(without).not.toHaveProperty('DAR')
    expect(withIt).toHaveProperty('DAR')
  })

  it.each(['EIO', 'EAGAIN', 'ENOMEM', 'EBADF', 'EFAULT'] as const)(
    'is not settled by %s, which fails the snapshot',
    (errno) => {
      const { kernel, vcpus } = side()
      kernel.fail({ errno, register: 'DAR' })
      const error = caught(KvmError, () => vcpus.map((vcpu) => vcpu.snapshot()))
      expect(error).toMatchObject({
        code: errno,
        operation: 'KVM_GET_ONE_REG',
        register: 'DAR',
        vcpu: 0,
      })
      for (const vcpu of vcpus) expect(namesIn(vcpu.snapshot())).toHaveLength(168)
    },
  )
})

describe('restoring', () => {
  it('gives a fresh vCPU every register but TB_OFFSET', () => {
    const source = freshVcpu()
    fill(source)
    const snapshot = source.snapshot()
    const fresh = freshVcpu()
    expect(fresh.snapshot()).not.toEqual(snapshot)
    expect(fresh.restore(snapshot)).toEqual({ refused: [] })
    expect(fresh.snapshot()).toEqual({ ...snapshot, TB_OFFSET: 0n })
  })

  it('gives TB_OFFSET too when asked', () => {
    const source = freshVcpu()
    fill(source)
    const snapshot = source.snapshot()
    const fresh = freshVcpu()
    const all = { ...snapshot, DEC_EXPIRY: 1n << 62n }
    expect(fresh.restore(all, { timebase: true })).toEqual({ refused: [] })
    expect(fresh.snapshot()).toEqual(all)
  })

  it.each([undefined, {}, { timebase: false }])('leaves TB_OFFSET as it is with %o', (options) => {
    const vcpu = freshVcpu()
    vcpu.set('TB_OFFSET', 3n * STEP)
    expect(vcpu.restore({ TB_OFFSET: 9n * STEP, DAR: 5n }, options)).toEqual({ refused: [] })
    expect(vcpu.get('TB_OFFSET')).toBe(3n * STEP)
    expect(vcpu.get('DAR')).toBe(5n)
  })

  it('takes a vCPU back to where it was', () => {
    const vcpu = freshVcpu()
    const before = vcpu.snapshot()
    fill(vcpu)
    expect(vcpu.snapshot()).not.toEqual(before)
    const after = { ...before, DEC_EXPIRY: vcpu.host.timebase() + 1_000_000_000_000n }
    expect(vcpu.restore(after, { timebase: true })).toEqual({ refused: [] })
    expect(vcpu.snapshot()).toEqual(after)
  })

  it('takes some registers alone, and none', () => {
    const vcpu = freshVcpu()
    const before = vcpu.snapshot()
    vcpu.restore({ DAR: 77n, DSISR: 5 })
    expect(vcpu.snapshot()).toEqual({ ...before, DAR: 77n, DSISR: 5 })
    expect(vcpu.restore({})).toEqual({ refused: [] })
    expect(vcpu.snapshot()).toEqual({ ...before, DAR: 77n, DSISR: 5 })
  })

  it('does not change the snapshot', () => {
    const source = freshVcpu()
    fill(source)
    const snapshot = source.snapshot()
    const copy = structuredClone(snapshot)
    freshVcpu().restore(snapshot)
    expect(snapshot).toEqual(copy)
  })
})

describe('a decrementer that has fired by the time of the restore', () => {
  const now = 1_000n << 32n
  const vcpuThen = () => side(new SoftwareKernel({ time: () => 0n, timebase: now })).vcpu(0)
  const TB_OFFSET = 7n * STEP

  it.each([1n, 6n * 512_000_000n, 3_600n * 512_000_000n])(
    'is due at once if the timebase is restored too, %s ticks later',
    (past) => {
      const vcpu = vcpuThen()
      const snapshot = { TB_OFFSET, DEC_EXPIRY: now + TB_OFFSET - past }
      expect(vcpu.restore(snapshot, { timebase: true })).toEqual({ refused: [] })
      expect(vcpu.get('DEC_EXPIRY')).toBe(now + TB_OFFSET)
      expect(ticksToDecrementer(vcpu)).toBe(0n)
    },
  )

  it('is written as it was without the timebase, which a load will bring', () => {
    const vcpu = vcpuThen()
    vcpu.restore({ TB_OFFSET, DEC_EXPIRY: 5n })
    expect(vcpu.get('DEC_EXPIRY')).toBe(5n)
  })

  it("is written as it was without TB_OFFSET, as the guest's timebase is not known then", () => {
    const vcpu = vcpuThen()
    expect(vcpu.restore({ DEC_EXPIRY: 5n }, { timebase: true })).toEqual({ refused: [] })
    expect(vcpu.get('DEC_EXPIRY')).toBe(5n)
  })

  it('is due at once on a host whose timebase is 0', () => {
    const vcpu = side(new SoftwareKernel({ time: () => 0n, timebase: 0n })).vcpu(0)
    vcpu.restore({ TB_OFFSET, DEC_EXPIRY: TB_OFFSET - 5n }, { timebase: true })
    expect(vcpu.get('DEC_EXPIRY')).toBe(TB_OFFSET)
  })

  it('is written as it was if it is still to come', () => {
    const vcpu = vcpuThen()
    const DEC_EXPIRY = now + TB_OFFSET + 1n
    vcpu.restore({ TB_OFFSET, DEC_EXPIRY }, { timebase: true })
    expect(vcpu.get('DEC_EXPIRY')).toBe(DEC_EXPIRY)
  })

  it('is written as it was on a host whose timebase cannot be read', () => {
    const { kernel, vcpus } = side(new SoftwareKernel({ time: () => 0n, timebase: now }))
    const [vcpu] = vcpus
    kernel.fail({ errno: 'ENOSYS', operation: 'mftb' })
    vcpu?.restore({ TB_OFFSET, DEC_EXPIRY: 5n }, { timebase: true })
    expect(vcpu?.get('DEC_EXPIRY')).toBe(5n)
  })
})

describe('the order of restoring', () => {
  // Each set is given in every order of its keys: the order of an object must not matter.
  const orders = [
    (names: RegisterName[]) => names,
    (names: RegisterName[]) => names.toReversed(),
    (names: RegisterName[]) => names.toSorted(),
  ]
  function reordered(values: RegisterValues): RegisterValues[] {
    return orders.map((order) =>
      Object.fromEntries(order(Object.keys(values) as RegisterName[]).map((n) => [n, values[n]])),
    )
  }

  it('sets the VPA before what hangs on it', () => {
    for (const snapshot of reordered(vpa)) {
      const vcpu = freshVcpu()
      expect(vcpu.restore(snapshot)).toEqual({ refused: [] })
      expect(vcpu.read(['VPA_ADDR', 'VPA_SLB', 'VPA_DTL'])).toEqual(vpa)
    }
  })

  it('clears what hangs on the VPA before the VPA', () => {
    const none = { VPA_ADDR: 0n, VPA_SLB: NO_AREA, VPA_DTL: NO_AREA }
    for (const snapshot of reordered(none)) {
      const vcpu = freshVcpu()
      vcpu.write(vpa)
      expect(vcpu.restore(snapshot)).toEqual({ refused: [] })
      expect(vcpu.read(['VPA_ADDR', 'VPA_SLB', 'VPA_DTL'])).toEqual(none)
    }
  })

  it('moves the VPA, and clears only a part of what hangs on it', () => {
    const other = { VPA_ADDR: 0x50000n, VPA_SLB: NO_AREA, VPA_DTL: area(0x60000n, 48n) }
    for (const snapshot of reordered(other)) {
      const vcpu = freshVcpu()
      vcpu.write(vpa)
      expect(vcpu.restore(snapshot)).toEqual({ refused: [] })
      expect(vcpu.read(['VPA_ADDR', 'VPA_SLB', 'VPA_DTL'])).toEqual(other)
    }
  })

  it.each([
    ['this kernel', () => new SoftwareKernel({ time: () => 0n })],
    ['kernels 4.16 to 5.16', () => new RelativeDecrementerKernel({ time: () => 0n })],
  ])('sets TB_OFFSET before DEC_EXPIRY, for %s', (_what, kernel) => {
    for (const DEC_EXPIRY of [5n * STEP + 1n, 4n * STEP]) {
      for (const snapshot of reordered({ TB_OFFSET: 4n * STEP, DEC_EXPIRY })) {
        const vcpu = side(kernel()).vcpu(0)
        vcpu.restore(snapshot, { timebase: true })
        expect(vcpu.read(['TB_OFFSET', 'DEC_EXPIRY'])).toEqual({
          TB_OFFSET: 4n * STEP,
          DEC_EXPIRY,
        })
      }
    }
  })

  it('sets LPCR and ARCH_COMPAT before all others', () => {
    const all = freshVcpu().snapshot()
    for (const snapshot of reordered(all)) {
      const { kernel, vcpus } = side()
      const crossings: bigint[][] = []
      const setOneRegs = kernel.setOneRegs.bind(kernel)
      vi.spyOn(kernel, 'setOneRegs').mockImplementation((batch) => {
        crossings.push(idsOf(batch))
        return setOneRegs(batch)
      })
      vcpus[0]?.restore(snapshot, { timebase: true })
      expect(crossings).toHaveLength(1)
      const [ids = []] = crossings
      expect(ids).toHaveLength(168)
      const early = [registers.ARCH_COMPAT.id, registers.LPCR.id, registers.LPCR_64.id]
      expect(new Set(ids.slice(0, 3))).toEqual(new Set(early))
    }
  })
})

describe('what a kernel would not take', () => {
  it('is reported: a register that it lacks', () => {
    const snapshot = freshVcpu().snapshot()
    const { vcpus } = side(new SoftwareKernel({ without: ['DAR', 'DEC_EXPIRY'] }))
    const [{ refused } = { refused: [] }] = vcpus.map((vcpu) => vcpu.restore(snapshot))
    expect(refused).toHaveLength(2)
    expect(refused).toEqual(
      expect.arrayContaining([
        { register: 'DAR', code: 'EINVAL' },
        { register: 'DEC_EXPIRY', code: 'EINVAL' },
      ]),
    )
  })

  it('is reported: registers of another processor and of a missing device', () => {
    const vcpu = freshVcpu()
    const { refused } = vcpu.restore({ TM_CR: 1n, ICP_STATE: 2n, DAR: 3n })
    expect(refused).toEqual([
      { register: 'TM_CR', code: 'EINVAL' },
      { register: 'ICP_STATE', code: 'ENXIO' },
    ])
    expect(vcpu.get('DAR')).toBe(3n)
  })

  it('is reported: a level of compatibility that it does not have', () => {
    const vcpu = freshVcpu()
    const { refused } = vcpu.restore({ ...vcpu.snapshot(), ARCH_COMPAT: 0x0f00_00ff, DAR: 9n })
    expect(refused).toEqual([{ register: 'ARCH_COMPAT', code: 'EINVAL' }])
    expect(vcpu.get('DAR')).toBe(9n)
  })

  it('is reported: a VPA that would go from under its areas', () => {
    const vcpu = freshVcpu()
    vcpu.write(vpa)
    expect(vcpu.restore({ VPA_ADDR: 0n }).refused).toEqual([
      { register: 'VPA_ADDR', code: 'EINVAL' },
    ])
  })

  it('is not reported where the value is held already', () => {
    const vcpu = freshVcpu()
    const DEBUG_INST = vcpu.get('DEBUG_INST')
    expect(() => {
      vcpu.set('DEBUG_INST', DEBUG_INST)
    }).toThrow(KvmError)
    expect(vcpu.restore({ DEBUG_INST }).refused).toEqual([])
    expect(vcpu.restore({ DEBUG_INST: DEBUG_INST + 1 }).refused).toEqual([
      { register: 'DEBUG_INST', code: 'EINVAL' },
    ])
  })

  it('is not reported where 128 bits are held already', () => {
    const { kernel, vcpus } = side()
    const [vcpu] = vcpus
    const VR3 = area(1n, 2n)
    vcpu?.write({ VR3 })
    kernel.fail({ errno: 'EINVAL', register: 'VR3', operation: 'KVM_SET_ONE_REG', times: 2 })
    expect(vcpu?.restore({ VR3: area(1n, 2n) }).refused).toEqual([])
    expect(vcpu?.restore({ VR3: area(1n, 3n) }).refused).toEqual([
      { register: 'VR3', code: 'EINVAL' },
    ])
  })

  it.each(['EIO', 'EAGAIN', 'ENOMEM', 'EBADF'] as const)('is another thing than %s', (errno) => {
    const { kernel, vcpus } = side()
    kernel.fail({ errno, register: 'DAR' })
    const error = caught(RestoreIncompleteError, () => vcpus[1]?.restore({ DAR: 1n, DSISR: 2 }))
    expect(error).toMatchObject({
      code: 'ERR_RESTORE_INCOMPLETE',
      vcpu: 1,
      failed: [{ register: 'DAR', code: errno }],
      refused: [],
      message: `Not all registers were written to vCPU 1: DAR (${errno}); the others were`,
      cause: { code: errno, operation: 'KVM_SET_ONE_REG', register: 'DAR', vcpu: 1 },
    })
  })
})

describe('what of a snapshot was written, when calls fail,', () => {
  it.each<[string, RegisterValues, boolean, string]>([
    ['all failed', { DAR: 1n }, false, 'none was'],
    ['all but TB_OFFSET, which was not to be', { TB_OFFSET: 0n, DAR: 1n }, false, 'none was'],
    ['all but TB_OFFSET, which was', { TB_OFFSET: 0n, DAR: 1n }, true, 'the others were'],
    ['all but DSISR', { DAR: 1n, DSISR: 2 }, false, 'the others were'],
    ['all but DSISR, beside TB_OFFSET', { TB_OFFSET: 0n, DAR: 1n, DSISR: 2 }, false, 'the others'],
  ])('is said: %s', (_what, snapshot, timebase, rest) => {
    const { kernel, vcpus } = side()
    kernel.fail({ errno: 'EIO', operation: 'KVM_SET_ONE_REG', register: 'DAR' })
    const restore = () => vcpus[0]?.restore(snapshot, { timebase })
    expect(caught(RestoreIncompleteError, restore).message).toContain(`DAR (EIO); ${rest}`)
  })
})

describe('a wrong snapshot', () => {
  const good = { DAR: 5n }
  const wrong: [string, unknown, ArgumentCode][] = [
    ['a misspelt name', { ...good, TB_OFSET: 1n }, 'ERR_INVALID_ARG_VALUE'],
    ['the name as in the header', { ...good, KVM_REG_PPC_DAR: 1n }, 'ERR_INVALID_ARG_VALUE'],
    ['a name in lower case', { ...good, dsisr: 1 }, 'ERR_INVALID_ARG_VALUE'],
    ['a name that every object has', { ...good, toString: 1n }, 'ERR_INVALID_ARG_VALUE'],
    ['__proto__', JSON.parse('{"__proto__":1}'), 'ERR_INVALID_ARG_VALUE'],
    ['a number for 64 bits', { ...good, PID: 1 }, 'ERR_INVALID_ARG_TYPE'],
    ['a bigint for 32 bits', { ...good, DSISR: 1n }, 'ERR_INVALID_ARG_TYPE'],
    ['a bigint for 128 bits', { ...good, VR0: 1n }, 'ERR_INVALID_ARG_TYPE'],
    ['a list for 128 bits', { ...good, VR0: new Array(16).fill(0) }, 'ERR_INVALID_ARG_TYPE'],
    ['a string', { ...good, PID: '1' }, 'ERR_INVALID_ARG_TYPE'],
    ['null', { ...good, PID: null }, 'ERR_INVALID_ARG_TYPE'],
    ['undefined', { ...good, PID: undefined }, 'ERR_INVALID_ARG_TYPE'],
    ['2^64', { ...good, PID: 2n ** 64n }, 'ERR_OUT_OF_RANGE'],
    ['-1 in 64 bits', { ...good, PID: -1n }, 'ERR_OUT_OF_RANGE'],
    ['2^32 in 32 bits', { ...good, DSISR: 2 ** 32 }, 'ERR_OUT_OF_RANGE'],
    ['-1 in 32 bits', { ...good, DSISR: -1 }, 'ERR_OUT_OF_RANGE'],
    ['a fraction', { ...good, DSISR: 0.5 }, 'ERR_OUT_OF_RANGE'],
    ['NaN', { ...good, DSISR: NaN }, 'ERR_OUT_OF_RANGE'],
    ['15 bytes', { ...good, VR0: new Uint8Array(15) }, 'ERR_OUT_OF_RANGE'],
    ['17 bytes', { ...good, VR0: new Uint8Array(17) }, 'ERR_OUT_OF_RANGE'],
    ['a number for TB_OFFSET', { ...good, TB_OFFSET: 1 }, 'ERR_INVALID_ARG_TYPE'],
    ['no snapshot', undefined, 'ERR_INVALID_ARG_TYPE'],
    ['null for a snapshot', null, 'ERR_INVALID_ARG_TYPE'],
    ['a list for a snapshot', [], 'ERR_INVALID_ARG_TYPE'],
    ['text for a snapshot', '{}', 'ERR_INVALID_ARG_TYPE'],
  ]

  it.each(
    wrong.flatMap(([what, value, code]) => [
      { what, value, code, timebase: false },
      { what, value, code, timebase: true },
    ]),
  )(
    '($what) is refused before any system call, timebase: $timebase',
    ({ value, code, timebase }) => {
      const { kernel, vcpus } = side()
      const [vcpu] = vcpus
      const { calls } = kernel
      const error = caught(Error, () => vcpu?.restore(value as RegisterValues, { timebase }))
      expect(error).toMatchObject({ code })
      expect(error).toBeInstanceOf(code === 'ERR_OUT_OF_RANGE' ? RangeError : TypeError)
      expect(kernel.calls).toBe(calls)
      expect(vcpu?.get('DAR')).toBe(0n)
    },
  )

  it.each<[string, unknown, ArgumentCode]>([
    ['an unknown option', { timebases: true }, 'ERR_INVALID_ARG_VALUE'],
    ['a word for timebase', { timebase: 'yes' }, 'ERR_INVALID_ARG_TYPE'],
    ['1 for timebase', { timebase: 1 }, 'ERR_INVALID_ARG_TYPE'],
    ['null for timebase', { timebase: null }, 'ERR_INVALID_ARG_TYPE'],
    ['true for the options', true, 'ERR_INVALID_ARG_TYPE'],
    ['null for the options', null, 'ERR_INVALID_ARG_TYPE'],
  ])('or a wrong option (%s) is refused before any system call', (_what, options, code) => {
    const { kernel, vcpus } = side()
    const { calls } = kernel
    const error = caught(TypeError, () => vcpus[0]?.restore(good, options as object))
    expect(error).toMatchObject({ code })
    expect(kernel.calls).toBe(calls)
  })
})

type ArgumentCode = 'ERR_INVALID_ARG_TYPE' | 'ERR_INVALID_ARG_VALUE' | 'ERR_OUT_OF_RANGE'

describe('the message of a wrong restore', () => {
  it.each<[unknown, unknown, RegExp]>([
    [5, undefined, /^snapshot must be an object/],
    [{ DAR: 5 }, undefined, /^DAR must be a bigint/],
    [{}, 5, /^options must be an object/],
    [{}, { timebases: true }, /^options may have only 'timebase', 'verify'/],
    [{}, { timebase: 1 }, /^options\.timebase must be a boolean/],
    [{}, { verify: 1 }, /^options\.verify must be a boolean/],
  ])('of %o with %o names the argument', (snapshot, options, message) => {
    const error = caught(TypeError, () =>
      freshVcpu().restore(snapshot as object, options as object),
    )
    expect(error.message).toMatch(message)
  })
})

it('reads nothing back after a restore of which nothing was refused', () => {
  const { kernel, vcpus } = side()
  const reading = vi.spyOn(kernel, 'getOneRegs')
  expect(vcpus[0]?.restore({ DAR: 5n })).toEqual({ refused: [] })
  expect(reading).not.toHaveBeenCalled()
})

describe('a restore that is verified', () => {
  it('lists the registers that hold another value', () => {
    const vcpu = freshVcpu()
    const wanted = { LPCR_64: 0xc000_0000_0004_f201n, DAR: 5n, VR0: new Uint8Array(16).fill(3) }
    expect(vcpu.restore(wanted)).toEqual({ refused: [] })
    expect(vcpu.restore(wanted, { verify: true })).toEqual({
      refused: [],
      changed: [{ register: 'LPCR_64', wanted: wanted.LPCR_64, held: 0x54_0413n }],
    })
    const offset = { TB_OFFSET: 5n }
    expect(vcpu.restore(offset, { verify: true, timebase: true }).changed).toEqual([
      { register: 'TB_OFFSET', wanted: 5n, held: STEP },
    ])
    expect(vcpu.restore(offset, { verify: true }).changed).toEqual([])
  })

  it('lists what was refused as that alone', () => {
    const vcpu = side(new SoftwareKernel({ without: ['DSCR'] })).vcpu(0)
    expect(vcpu.restore({ DSCR: 1n, DAR: 2n }, { verify: true })).toEqual({
      refused: [{ register: 'DSCR', code: 'EINVAL' }],
      changed: [],
    })
  })

  it('ends with the error of a register that cannot be read back', () => {
    const { kernel, vcpus } = side()
    kernel.fail({ errno: 'EIO', operation: 'KVM_GET_ONE_REG', register: 'DAR' })
    const error = caught(KvmError, () => vcpus[0]?.restore({ DAR: 1n }, { verify: true }))
    expect(error).toMatchObject({ code: 'EIO', operation: 'KVM_GET_ONE_REG', register: 'DAR' })
  })
})

it('an asynchronous snapshot says when no thread can be had', async () => {
  const kernel = new SoftwareKernel()
  vi.spyOn(kernel, 'getOneRegsAsync').mockResolvedValue(-11)
  const vcpu = new Host(kernel).createVm().createVcpu(3)
  await expect(vcpu.snapshotAsync()).rejects.toMatchObject({
    code: 'EAGAIN',
    operation: 'pthread_create',
    vcpu: 3,
  })
})
