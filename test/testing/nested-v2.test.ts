import { isDeepStrictEqual } from 'node:util'
import { describe, expect, it } from 'vitest'
import { SoftwareKernel } from '../../lib/kernel/software/kernel.ts'
import { Host } from '../../lib/kvm/host.ts'
import type { Vcpu } from '../../lib/kvm/vcpu.ts'
import type { RegisterName } from '../../lib/registers.ts'
import { assertGuestGoesOn, hostPair } from '../../lib/testing/index.ts'
import { inheritTimebase } from '../../lib/timebase/inherit.ts'
import { loadTimebase } from '../../lib/timebase/load.ts'
import { saveTimebase } from '../../lib/timebase/save.ts'
import { errorOf } from '../support/error-of.ts'

const GUEST = 5n << 40n
const machines = ['pseries POWER10', 'papr POWER10'] as const

/** A guest of two vCPUs that came to a host of this machine and ran there. */
function arrived(machine: (typeof machines)[number]) {
  const pair = hostPair({ backend: 'software', destination: { machine } })
  const { source, destination, time } = pair
  const here = source.createVm()
  const leaving = [here.createVcpu(0), here.createVcpu(1)]
  for (const vcpu of leaving) vcpu.set('TB_OFFSET', GUEST)
  const state = saveTimebase(leaving)
  time.pass(1_000_000_000n)
  const there = destination.createVm()
  const vcpus: Vcpu[] = [there.createVcpu(0), there.createVcpu(1)]
  loadTimebase(vcpus, state)
  const run = (vcpu: Vcpu): void => {
    destination.run(vcpu).stop()
  }
  vcpus.forEach(run)
  return { pair, vm: there, vcpus, run, seen: assertGuestGoesOn(vcpus, state) }
}

describe('a vCPU that is plugged into a guest', () => {
  it.each(machines)('and inherits before it runs: the guest goes on, on %s', (machine) => {
    const { pair, vm, vcpus, run, seen } = arrived(machine)
    using both = pair
    expect(both.destination.backend).toBe('software')
    const [first] = vcpus
    const added = vm.createVcpu(2)
    if (first === undefined) throw new Error('no vCPU')
    inheritTimebase(first, added)
    run(added)
    for (const vcpu of [...vcpus, added]) run(vcpu)
    expect(assertGuestGoesOn([...vcpus, added], seen)).toBe(seen)
  })

  it('and runs before it inherits takes a guest of papr along, which fails the assertion', () => {
    const { pair, vm, vcpus, run, seen } = arrived('papr POWER10')
    using both = pair
    expect(both.destination.backend).toBe('software')
    const added = vm.createVcpu(2)
    run(added)
    // The registers of the others do not show it.
    expect(new Set(vcpus.map((vcpu) => vcpu.get('TB_OFFSET'))).size).toBe(1)
    expect(() => assertGuestGoesOn(vcpus, seen)).toThrow(
      /^The guest reads another timebase than TB_OFFSET of vCPU 0 says, \d+ ticks \([\d.]+ ms\) \w+: another vCPU ran with TB_OFFSET 0\. .*inherit the timebase before it runs$/,
    )
    const [first] = vcpus
    if (first === undefined) throw new Error('no vCPU')
    inheritTimebase(first, added)
    expect(() => assertGuestGoesOn(vcpus, seen)).toThrow('another timebase than TB_OFFSET')
    run(added)
    expect(assertGuestGoesOn([...vcpus, added], seen)).toBe(seen)
  })

  it.each(['first', 'added'] as const)(
    'and took the guest along: a save and a load bring the time back, if the %s runs next',
    (next) => {
      const { pair, vm, vcpus, run, seen } = arrived('papr POWER10')
      using both = pair
      const added = vm.createVcpu(2)
      run(added)
      expect(() => assertGuestGoesOn(vcpus, seen)).toThrow('another timebase than TB_OFFSET')
      const state = saveTimebase(vcpus)
      expect([both.destination.backend, state.guestTimebase]).toEqual(['software', seen])
      loadTimebase([...vcpus, added], state)
      const [first] = vcpus
      if (first === undefined) throw new Error('no vCPU')
      run(next === 'first' ? first : added)
      expect(assertGuestGoesOn([...vcpus, added], seen) >= seen).toBe(true)
    },
  )

  it('and runs before it inherits is alone with its time on the other machines', () => {
    const { pair, vm, vcpus, run, seen } = arrived('pseries POWER10')
    using both = pair
    expect(both.destination.backend).toBe('software')
    const added = vm.createVcpu(2)
    run(added)
    expect(assertGuestGoesOn(vcpus, seen)).toBe(seen)
    expect(() => assertGuestGoesOn([...vcpus, added], seen)).toThrow('different timebases')
  })
})

describe('the model of papr', () => {
  const opened = (): { kernel: SoftwareKernel; one: Vcpu; other: Vcpu } => {
    const kernel = new SoftwareKernel({ machine: 'papr POWER10', time: () => 0n, timebase: 1000n })
    const vm = new Host(kernel).createVm()
    return { kernel, one: vm.createVcpu(0), other: vm.createVcpu(1) }
  }

  it('has for a guest the offset that was last set and then run', () => {
    const { kernel, one, other } = opened()
    const offsets = () => [one, other].map(({ fd }) => kernel.guestOffset(fd))
    one.set('TB_OFFSET', GUEST)
    expect(offsets()).toEqual([GUEST, 0n])
    kernel.run(one.fd)
    kernel.run(one.fd)
    expect(offsets()).toEqual([GUEST, 0n])
    kernel.run(other.fd)
    expect(offsets()).toEqual([0n, 0n])
    one.set('DAR', 5n)
    kernel.run(one.fd)
    expect(offsets()).toEqual([0n, 0n])
    expect(one.get('TB_OFFSET')).toBe(GUEST)
    one.set('TB_OFFSET', GUEST)
    expect(offsets()).toEqual([GUEST, 0n])
    kernel.run(one.fd)
    expect(offsets()).toEqual([GUEST, GUEST])
  })

  it('keeps the guests of two VMs apart', () => {
    const { kernel, one } = opened()
    one.set('TB_OFFSET', GUEST)
    kernel.run(one.fd)
    const stranger = one.system.host.createVm().createVcpu(0)
    kernel.run(stranger.fd)
    expect(kernel.guestOffset(one.fd)).toBe(GUEST)
  })

  it('moves DEC_EXPIRY along with TB_OFFSET after a run, unless it was read since', () => {
    const { kernel, one } = opened()
    one.set('TB_OFFSET', GUEST)
    expect(one.get('DEC_EXPIRY')).toBe(GUEST + 1000n)
    one.set('TB_OFFSET', 2n * GUEST)
    expect(one.get('DEC_EXPIRY')).toBe(GUEST + 1000n)
    kernel.run(one.fd)
    one.set('TB_OFFSET', 3n * GUEST)
    expect(one.get('DEC_EXPIRY')).toBe(2n * GUEST + 1000n)
    one.set('TB_OFFSET', 4n * GUEST)
    expect(one.get('DEC_EXPIRY')).toBe(2n * GUEST + 1000n)
    one.set('DEC_EXPIRY', 7n)
    kernel.run(one.fd)
    expect(one.get('DEC_EXPIRY')).toBe(7n)
  })

  it('sends a DEC_EXPIRY once, and moves it along with offsets that are set later', () => {
    const { kernel, one } = opened()
    one.set('TB_OFFSET', GUEST)
    kernel.run(one.fd)
    one.set('TB_OFFSET', 3n * GUEST)
    kernel.run(one.fd)
    expect(one.get('DEC_EXPIRY')).toBe(3n * GUEST + 1000n)
  })

  it.each([
    ['papr POWER10', 0x0080_1200],
    ['papr POWER11', 0x0082_1200],
  ] as const)('changes by a run what was seen to change on %s', (machine, pvr) => {
    const kernel = new SoftwareKernel({ machine })
    using host = new Host(kernel)
    const vcpu = host.createVm().createVcpu(0)
    const before = vcpu.snapshot()
    const wide = { DAWRX: 0x1_0000_0002n, DAWRX1: 0x1_0000_0003n, WORT: 0x1_0000_0004n }
    vcpu.write(wide)
    kernel.run(vcpu.fd)
    const after = vcpu.snapshot()
    const changed = Object.entries(after).filter(
      ([name, value]) => !isDeepStrictEqual(before[name as RegisterName], value),
    )
    expect(Object.fromEntries(changed)).toEqual({
      LPCR: 0x0050_0403,
      LPCR_64: 0x0040_0000_0050_0403n,
      ARCH_COMPAT: pvr,
      DAWRX: 2n,
      DAWRX1: 3n,
      WORT: 4n,
    })
  })

  it.each([
    ['papr POWER10', '6.12', 0x0080_1200, 0x0f00_0006],
    ['papr POWER11', '6.12', 0x0082_1200, 0x0f00_0006],
    ['papr POWER11', '7.2', 0x0082_1200, 0x0f00_0007],
  ] as const)(
    'has one ARCH_COMPAT for a guest, on %s with Linux %s',
    (machine, linux, pvr, level) => {
      const kernel = new SoftwareKernel({ machine, linux })
      using host = new Host(kernel)
      const vm = host.createVm()
      const [one, other] = [vm.createVcpu(0), vm.createVcpu(1)]
      const held = () => [one, other].map((vcpu) => vcpu.get('ARCH_COMPAT'))
      const POWER9 = 0x0f00_0005
      // Linux 7.2 refuses what it stores.
      const setLevel = (vcpu: Vcpu, level: number): void => {
        if (linux !== '7.2') vcpu.set('ARCH_COMPAT', level)
        else
          errorOf(() => {
            vcpu.set('ARCH_COMPAT', level)
          })
      }
      kernel.run(one.fd)
      expect(held()).toEqual([pvr, 0])
      setLevel(one, 0)
      expect(held()).toEqual([0, 0])
      kernel.run(one.fd)
      expect(held()).toEqual([level, 0])
      kernel.run(other.fd)
      expect(held()).toEqual([level, level])
      setLevel(other, POWER9)
      kernel.run(one.fd)
      expect(held()).toEqual([level, POWER9])
      kernel.run(other.fd)
      expect(held()).toEqual([level, POWER9])
      kernel.run(one.fd)
      expect(held()).toEqual([POWER9, POWER9])
      setLevel(other, 0)
      kernel.run(other.fd)
      expect(held()).toEqual([POWER9, level])
    },
  )

  it('is not of a Linux before 6.7, and a run needs a vCPU', () => {
    expect(
      errorOf(() => new SoftwareKernel({ machine: 'papr POWER10', linux: '6.1' })),
    ).toMatchObject({
      code: 'ERR_INVALID_ARG_VALUE',
      message: expect.stringContaining('6.7') as string,
    })
    const { kernel } = opened()
    expect([kernel.run(99), kernel.guestOffset(99)]).toEqual([-9, -9n])
  })
})

it('a DEC_EXPIRY that is set after a run is the one that the next run sends below', () => {
  const { pair, vcpus, run } = arrived('papr POWER10')
  using both = pair
  expect(both.destination.backend).toBe('software')
  const [vcpu] = vcpus
  if (vcpu === undefined) throw new Error('no vCPU')
  vcpu.set('DEC_EXPIRY', 7n)
  expect(vcpu.get('DEC_EXPIRY')).toBe(7n)
  run(vcpu)
  expect(vcpu.get('DEC_EXPIRY')).toBe(7n)
})
