import { beforeEach, describe, expect, it } from 'vitest'
import { OneRegError } from '../../lib/errors.ts'
import { SoftwareKernel } from '../../lib/kernel/software/kernel.ts'
import { Host } from '../../lib/kvm/host.ts'
import type { Vcpu } from '../../lib/kvm/vcpu.ts'
import { inheritTimebase } from '../../lib/timebase/inherit.ts'
import { loadTimebase } from '../../lib/timebase/load.ts'
import { saveTimebase } from '../../lib/timebase/save.ts'
import type { LoadOutcome } from '../../lib/timebase/outcomes.ts'
import type { TimebaseState } from '../../lib/timebase/state.ts'
import { caught } from '../support/caught.ts'

const STEP = 1n << 24n
const freeze = { downtime: 'freeze' } as const

// An aligned load has written its registers and waits for its instant. Time stands still until a test
// moves it on.
describe.each([0n, 7_654_321n, 12_345_678n, STEP - 1n])(
  'at %s ticks, a guest that waits',
  (origin) => {
    let now: bigint
    let host: Host
    let vcpus: Vcpu[]
    /** What the guest has read before. */
    let seen: TimebaseState
    let loading: Promise<LoadOutcome>

    beforeEach(() => {
      now = 0n
      host = new Host(
        new SoftwareKernel({ timebase: 5_000_000_000n + origin, timeOfDayNs: 0n, time: () => now }),
      )
      const vm = host.createVm()
      vcpus = [0, 1].map((id) => vm.createVcpu(id))
      for (const vcpu of vcpus) vcpu.set('TB_OFFSET', 7n * STEP)
      seen = saveTimebase(vcpus)
      now += 1_000_000n
      loading = loadTimebase(vcpus, seen, { ...freeze, align: true })
      // A test that ends early does not look at it.
      loading.catch(() => undefined)
      return () => {
        now += 1_000_000_000n
        host.close()
      }
    })

    const borrowed = () => vcpus.map(({ fd, id }) => host.vcpu(fd, id))

    it.each([
      ['by the same objects', () => vcpus],
      ['by borrowed ones', borrowed],
      ['by some of each', () => vcpus.slice(0, 1).concat(borrowed().slice(1))],
    ])('is saved as what it will start with, %s', async (_, held) => {
      const state = saveTimebase(held())
      expect(state.guestTimebase).toBe(seen.guestTimebase)
      const elsewhere = new Host(
        new SoftwareKernel({ timebase: 900_000_000n, timeOfDayNs: 0n, time: () => now }),
      )
      const vm = elsewhere.createVm()
      const { guestTimebase } = loadTimebase([vm.createVcpu(0), vm.createVcpu(1)], state, freeze)
      expect(BigInt.asIntN(64, guestTimebase - seen.guestTimebase)).toBeGreaterThanOrEqual(0n)
      now += 1_000_000_000n
      await loading
      expect(saveTimebase(held()).guestTimebase).toBeGreaterThan(seen.guestTimebase)
    })

    const joining = () => host.createVm().createVcpu(9)
    const refused: [string, (vcpus: Vcpu[]) => unknown][] = [
      ['a load', (vcpus) => loadTimebase(vcpus, seen, freeze)],
      ['a snapshot', ([vcpu]) => vcpu?.snapshot()],
      ['a restore', ([vcpu]) => vcpu?.restore({ DEC_EXPIRY: 5n })],
      [
        'handing on its timebase',
        ([vcpu]) => vcpu && inheritTimebase(vcpu, host.vcpu(joining().fd, 9)),
      ],
      ['inheriting one', ([vcpu]) => vcpu && inheritTimebase(host.vcpu(joining().fd, 9), vcpu)],
    ]

    it.each(refused)('refuses %s until then', async (_, call) => {
      for (const held of [vcpus, borrowed()]) {
        const error = caught(OneRegError, () => call(held))
        expect(error.code).toBe('ERR_VCPU_HELD')
        expect(error.message).toMatch(
          /^An aligned load of vCPU \d waits .*await its promise first$/,
        )
      }
      now += 1_000_000_000n
      await loading
      expect(() => call(borrowed())).not.toThrow()
    })

    it('names the vCPU that it refuses', async () => {
      expect(() => vcpus[1]?.snapshot()).toThrow('An aligned load of vCPU 1 waits')
      now += 1_000_000_000n
      await loading
    })

    it('refuses a second aligned load until then', async () => {
      const second = loadTimebase(vcpus, seen, { ...freeze, align: true })
      await expect(second).rejects.toMatchObject({ code: 'ERR_VCPU_HELD' })
    })

    it.each([
      ['one of its vCPUs', () => vcpus[1]?.close()],
      ['its VM', () => vcpus[0]?.vm?.close()],
      [
        'its host',
        () => {
          host.close()
        },
      ],
    ])('rejects if %s is closed', async (_, close) => {
      close()
      now += 1_000_000_000n
      await expect(loading).rejects.toMatchObject({ code: 'ERR_KVM_CLOSED' })
    })

    it('holds no other vCPU that gets the number of one that was closed', () => {
      const [first] = vcpus
      const fd = first?.fd
      const vm = host.createVm()
      first?.close()
      const other = vm.createVcpu(0)
      expect(other.fd).toBe(fd)
      expect(other.snapshot()).toHaveProperty('TB_OFFSET', 0n)
      expect(saveTimebase([other]).guestTimebase).toBe(host.timebase())
    })

    it('is saved by its offset once that was set anew', () => {
      for (const vcpu of vcpus) vcpu.set('TB_OFFSET', 0n)
      expect(saveTimebase(vcpus).guestTimebase).toBe(host.timebase())
    })
  },
)

it('a guest is not behind what a load gave it, whatever its host shows later', () => {
  const kernel = new SoftwareKernel({ timebase: 1n << 40n, time: () => 0n })
  const vcpus = [new Host(kernel).createVm().createVcpu(0)]
  const { guestTimebase } = loadTimebase(vcpus, saveTimebase(vcpus), freeze)
  kernel.clock.setTimebase(5n)
  expect(saveTimebase(vcpus).guestTimebase).toBe(guestTimebase)
})

describe('a vCPU that inherits', () => {
  it('has the rounding error of the guest that it joins, for as long as it has its offset', () => {
    const kernel = new SoftwareKernel({ timebase: 12_345_678n, time: () => 0n })
    const vm = new Host(kernel).createVm()
    const [from, to] = [vm.createVcpu(0), vm.createVcpu(1)]
    const state = { ...saveTimebase([from]), guestTimebase: 1n << 40n }
    const { roundingTicks } = loadTimebase([from], state)
    expect(roundingTicks).not.toBe(0n)
    inheritTimebase(from, to)
    from.close()
    expect(saveTimebase([to]).roundingTicks).toBe(roundingTicks)
    to.set('TB_OFFSET', 0n)
    expect(saveTimebase([to])).not.toHaveProperty('roundingTicks')
  })

  it('loses the error of a load of its own', () => {
    const vm = new Host(new SoftwareKernel({ timebase: 12_345_678n, time: () => 0n })).createVm()
    const [from, to] = [vm.createVcpu(0), vm.createVcpu(1)]
    loadTimebase([to], { ...saveTimebase([to]), guestTimebase: 1n << 40n })
    from.set('TB_OFFSET', to.get('TB_OFFSET'))
    inheritTimebase(from, to)
    expect(saveTimebase([to])).not.toHaveProperty('roundingTicks')
  })

  it('reads what the guest reads whose offset is below zero', () => {
    const kernel = new SoftwareKernel({ timebase: 1n << 40n, time: () => 0n })
    const vm = new Host(kernel).createVm()
    const [from, to] = [vm.createVcpu(0), vm.createVcpu(1)]
    from.set('TB_OFFSET', BigInt.asUintN(64, -5n * STEP))
    const { guestTimebase } = inheritTimebase(from, to)
    expect(guestTimebase).toBe((1n << 40n) - 5n * STEP)
    expect(to.get('DEC_EXPIRY')).toBe(guestTimebase)
  })
})
