import { afterEach, describe, expect, it, vi } from 'vitest'
import {
  KvmError,
  OneRegError,
  TimebaseDivergedError,
  TimebaseNotAppliedError,
} from '../../../lib/errors.ts'
import { Host } from '../../../lib/kvm/host.ts'
import { inheritTimebase } from '../../../lib/timebase/inherit.ts'
import { loadTimebase } from '../../../lib/timebase/load.ts'
import { saveTimebase } from '../../../lib/timebase/save.ts'
import type { RegisterName } from '../../../lib/registers.ts'
import { SoftwareKernel } from '../../../lib/kernel/software/kernel.ts'
import { FailingKernel } from '../../../lib/testing/failing-kernel.ts'
import type { SoftwareKernelOptions } from '../../../lib/kernel/software/kernel.ts'
import type { TimebaseState } from '../../../lib/timebase/state.ts'
import { parseTimebase, serializeTimebase } from '../../../lib/timebase/state.ts'
import { caught } from '../../support/caught.ts'
import { HandMovedTime } from '../../../lib/testing/hand-moved-time.ts'
import { STEP, registerOn, SECOND, Side } from '../../support/host-pair.ts'
import { LyingKernel } from '../../support/kernels.ts'
import type { Lies } from '../../support/kernels.ts'

// Tests with kernels that report something that is not true.

const IDS = [0, 1]

const state: TimebaseState = {
  guestTimebase: 2n ** 60n + 3n,
  timeOfDayNs: 0n,
  timebaseFrequency: 512_000_000n,
  uncertaintyNs: 0n,
  offset: 0n,
  vcpus: IDS.map((id) => ({ id, decExpiry: 2n ** 61n, vtb: 11n, purr: 12n, spurr: 13n })),
}

/** A guest that has been running, on a kernel that lies from then on. */
function guestOn(lies: Lies, options: SoftwareKernelOptions = {}) {
  const { read: time } = new HandMovedTime()
  let isLying = false
  const when = <T>(lie: (() => T) | undefined): T | undefined => (isLying ? lie?.() : undefined)
  const side = new Side(
    new LyingKernel(
      {
        get: (...told) => when(() => lies.get?.(...told)),
        set: (...told) => when(() => lies.set?.(...told)),
      },
      { time, timebase: 5_000_000_001n, timeOfDayNs: 1_000n, ...options },
    ),
    IDS,
  )
  for (const vcpu of side.vcpus) {
    const values = { TB_OFFSET: 7n * STEP, DEC_EXPIRY: 1n, VTB: 2n, PURR: 3n, SPURR: 4n }
    for (const [name, value] of Object.entries(values) as [RegisterName, bigint][]) {
      if (vcpu.has(name)) vcpu.set(name, value)
    }
  }
  const before = side.timers()
  /** Runs it while the kernel lies. */
  const lying = <T>(call: () => T): T => {
    isLying = true
    try {
      return call()
    } finally {
      isLying = false
    }
  }
  const load = (): unknown => lying(() => loadTimebase(side.vcpus, state))
  const refused = (): TimebaseNotAppliedError => caught(TimebaseNotAppliedError, load)
  return { side, before, lying, load, refused, timers: () => side.timers() }
}

describe('a set that succeeds and does nothing, as on POWER9 DD1,', () => {
  it.each(['TB_OFFSET', 'DEC_EXPIRY'] as const)(
    'is seen when %s is read back, and all is put back',
    (deafTo) => {
      const guest = guestOn({ set: (name) => (name === deafTo ? { result: 0 } : undefined) })
      const error = guest.refused()
      expect(error).toMatchObject({ register: deafTo, vcpu: 0, restored: true, notRestored: [] })
      expect(error.message).toMatch(
        /was set to \d+ and reads back as \d+\. Everything was put back/,
      )
      expect(guest.timers()).toEqual(guest.before)
    },
  )

  it('on one vCPU only names that one', () => {
    const wanted: bigint[] = []
    const guest = guestOn({
      set(name, value, fd) {
        if (name !== 'TB_OFFSET' || fd !== 6) return undefined
        wanted.push(value)
        return { result: 0 }
      },
    })
    const error = guest.refused()
    expect(error).toMatchObject({ register: 'TB_OFFSET', vcpu: 1, restored: true })
    expect(error.message).toContain(
      `TB_OFFSET on vCPU 1 was set to ${String(wanted[0])} and reads back as ${7n * STEP}.`,
    )
    expect(guest.timers()).toEqual(guest.before)
  })

  it('is put back without the registers that the kernel lacks', () => {
    let sets = 0
    const guest = guestOn(
      {
        set(name) {
          sets++
          return name === 'DEC_EXPIRY' ? { result: 0 } : undefined
        },
      },
      { without: ['VTB'] },
    )
    expect(guest.refused()).toMatchObject({ restored: true, notRestored: [] })
    expect(guest.timers()).toEqual(guest.before)
    // Two offsets and six others, as DEC_EXPIRY is compared after all were written; then all eight again.
    expect(sets).toBe(16)
  })

  it('is not known where it cannot be read back: KVM_GET_ONE_REG is named', () => {
    let sets = 0
    const guest = guestOn({
      set() {
        sets++
        return undefined
      },
      get: (name) => (sets > 2 && name === 'DEC_EXPIRY' ? { result: -5 } : undefined),
    })
    const error = guest.refused()
    expect(error.cause).toMatchObject({ operation: 'KVM_GET_ONE_REG', register: 'DEC_EXPIRY' })
    expect(error.message).toContain('KVM_GET_ONE_REG')
  })

  it('while things are put back is told with exactly those registers', () => {
    let sets = 0
    const guest = guestOn({
      // Both offsets are set; then the first decrementer is refused, and nothing is heard any more.
      set: () => (++sets === 3 ? { result: -5 } : sets > 3 ? { result: 0 } : undefined),
    })
    const error = guest.refused()
    expect(error).toMatchObject({ register: 'DEC_EXPIRY', vcpu: 0, restored: false })
    const listed = error.notRestored.map(({ register, vcpu }) =>
      registerOn(register as 'VTB', vcpu),
    )
    const now = guest.timers()
    expect(listed.sort()).toEqual(
      Object.keys(now)
        .filter((name) => now[name] !== guest.before[name])
        .sort(),
    )
    expect(listed).toEqual(['TB_OFFSET of vCPU 0', 'TB_OFFSET of vCPU 1'])
  })

  it.each(['VTB', 'PURR', 'SPURR'] as const)(
    'of %s is not seen: these run, and are not compared',
    (deafTo) => {
      const guest = guestOn({ set: (name) => (name === deafTo ? { result: 0 } : undefined) })
      expect(guest.load()).toMatchObject({ skipped: [] })
      expect(guest.side.vcpus[0]?.get(deafTo)).toBe(guest.before[`${deafTo} of vCPU 0`])
    },
  )

  it('fails a vCPU that joins', () => {
    const guest = guestOn({ set: (name) => (name === 'TB_OFFSET' ? { result: 0 } : undefined) })
    guest.side.vcpu(1).set('TB_OFFSET', 0n)
    const error = caught(TimebaseNotAppliedError, () =>
      guest.lying(() => inheritTimebase(guest.side.vcpu(0), guest.side.vcpu(1))),
    )
    expect(error).toMatchObject({ register: 'TB_OFFSET', vcpu: 1, restored: true })
  })
})

describe('a register that comes back different', () => {
  it.each([STEP, -STEP, 1n, 2n ** 63n])('by %s: TB_OFFSET', (by) => {
    const guest = guestOn({
      get: (name, { value }) =>
        name === 'TB_OFFSET' ? { value: BigInt.asUintN(64, value + by) } : undefined,
    })
    const error = guest.refused()
    expect(error).toMatchObject({ register: 'TB_OFFSET', vcpu: 0 })
    expect(error.message).toMatch(/TB_OFFSET on vCPU 0 was set to \d+ and reads back as \d+/)
    // By what this kernel says it cannot be put back either, and that is told.
    expect(error.restored).toBe(false)
    expect(error.notRestored.map(({ register }) => register)).toEqual(['TB_OFFSET', 'TB_OFFSET'])
  })

  it('because another one was written: TB_OFFSET', () => {
    const guest = guestOn({
      set: (name, value) =>
        name === 'TB_OFFSET' && value !== 7n * STEP ? { value: value + STEP } : undefined,
    })
    expect(guest.refused()).toMatchObject({ register: 'TB_OFFSET', restored: true })
    expect(guest.timers()).toEqual(guest.before)
  })

  it('on one vCPU, before a save: the guest has no one timebase', () => {
    const guest = guestOn({
      get: (name, { value }, fd) =>
        name === 'TB_OFFSET' && fd === 6 ? { value: value + STEP } : undefined,
    })
    const error = caught(TimebaseDivergedError, () =>
      guest.lying(() => saveTimebase(guest.side.vcpus)),
    )
    expect(error.offsets.map(({ offset }) => offset)).toEqual([7n * STEP, 8n * STEP])
  })
})

describe('a register that vanishes', () => {
  const absent = { result: -22 }

  it.each(['DEC_EXPIRY', 'VTB', 'PURR', 'SPURR'] as const)(
    'between save and load is left out and named: %s',
    (gone) => {
      const guest = guestOn({ get: (name) => (name === gone ? absent : undefined) })
      expect(guest.load()).toMatchObject({
        skipped: [
          { register: gone, vcpu: 0 },
          { register: gone, vcpu: 1 },
        ],
      })
      expect(guest.side.vcpus[0]?.get(gone)).toBe(guest.before[`${gone} of vCPU 0`])
    },
  )

  it('from one vCPU is left out there', () => {
    const guest = guestOn({
      get: (name, _, fd) => (name === 'VTB' && fd === 6 ? absent : undefined),
    })
    expect(guest.load()).toMatchObject({ skipped: [{ register: 'VTB', vcpu: 1 }] })
    expect(guest.side.vcpus.map((vcpu) => vcpu.get('VTB'))).toEqual([11n, 2n])
  })

  it.each(['TB_OFFSET', 'DEC_EXPIRY', 'VTB', 'PURR', 'SPURR'] as const)(
    'between its reading and its writing fails the load: %s',
    (gone) => {
      const guest = guestOn({ set: (name) => (name === gone ? absent : undefined) })
      const error = guest.refused()
      expect(error).toMatchObject({ register: gone, vcpu: 0, cause: { code: 'EINVAL' } })
      // It holds what it held, so nothing of it has to be put back.
      expect(error.restored).toBe(true)
      expect(guest.timers()).toEqual(guest.before)
    },
  )

  it('after it was written is reported, since its value is unknown', () => {
    let isGone = false
    const guest = guestOn({
      get: (name) => (isGone && name === 'VTB' ? absent : undefined),
      set: (name) => {
        if (name === 'SPURR') isGone = true
        return isGone && (name === 'VTB' || name === 'SPURR') ? absent : undefined
      },
    })
    const error = guest.refused()
    expect(error).toMatchObject({ register: 'SPURR', restored: false })
    expect(error.notRestored).toEqual([
      { vcpu: 0, register: 'VTB', problem: expect.stringContaining('EINVAL') as unknown },
      { vcpu: 1, register: 'VTB', problem: expect.stringContaining('EINVAL') as unknown },
    ])
  })
})

describe('a kernel without', () => {
  it('DEC_EXPIRY, before Linux 4.16, saves, loads and inherits without it', () => {
    const guest = guestOn({}, { without: ['DEC_EXPIRY'] })
    expect(saveTimebase(guest.side.vcpus).vcpus[0]).not.toHaveProperty('decExpiry')
    expect(guest.load()).toMatchObject({
      skipped: [
        { register: 'DEC_EXPIRY', vcpu: 0 },
        { register: 'DEC_EXPIRY', vcpu: 1 },
      ],
    })
    guest.side.vcpu(1).set('TB_OFFSET', 0n)
    const { offset } = inheritTimebase(guest.side.vcpu(0), guest.side.vcpu(1))
    expect(guest.side.vcpu(1).get('TB_OFFSET')).toBe(offset)
  })

  it.each<[string, RegisterName[]]>([
    ['TB_OFFSET, as PR KVM', ['TB_OFFSET', 'DEC_EXPIRY', 'VTB', 'PURR', 'SPURR']],
    ['TB_OFFSET alone', ['TB_OFFSET']],
  ])('%s, is ERR_KVM_UNAVAILABLE with the reason, and nothing is written', (_what, without) => {
    const guest = guestOn({}, { without })
    const [zero, one] = [guest.side.vcpu(0), guest.side.vcpu(1)]
    for (const call of [
      () => saveTimebase(guest.side.vcpus),
      () => loadTimebase(guest.side.vcpus, state),
      () => inheritTimebase(zero, one),
    ]) {
      const error = caught(OneRegError, call)
      expect(error.code).toBe('ERR_KVM_UNAVAILABLE')
      expect(error.message).toMatch(/vCPU 0 has no KVM_REG_PPC_TB_OFFSET.*HV KVM.*PR KVM/)
    }
    expect(guest.timers()).toEqual(guest.before)
  })
})

describe('a result that no documentation has', () => {
  it.each([1, 7, 2 ** 31 - 1])('counts as success if it is above 0: %d', (result) => {
    const guest = guestOn({ get: () => ({ result }) })
    const saved = guest.lying(() => saveTimebase(guest.side.vcpus))
    expect(saved).toMatchObject({ offset: 7n * STEP, vcpus: [{ vtb: 2n }, { vtb: 2n }] })
    const vcpu = guest.side.vcpu(0)
    expect(guest.lying(() => vcpu.get('VTB'))).toBe(2n)
    expect(guest.lying(() => vcpu.read(['VTB']))).toEqual({ VTB: 2n })
    expect(guest.load()).toMatchObject({ skipped: [] })
    expect(vcpu.get('VTB')).toBe(11n)
  })

  it('above 0 for a set is not believed: what is read back counts', () => {
    const guest = guestOn({ set: (name) => (name === 'TB_OFFSET' ? { result: 7 } : undefined) })
    expect(guest.refused()).toMatchObject({ register: 'TB_OFFSET', vcpu: 0, restored: true })
    expect(guest.timers()).toEqual(guest.before)
  })

  it.each([-11, -524, -4095, -123_456, -(2 ** 31)])('is an error if it is below: %d', (errno) => {
    const guest = guestOn({ get: (name) => (name === 'VTB' ? { result: errno } : undefined) })
    const saving = caught(KvmError, () => guest.lying(() => saveTimebase(guest.side.vcpus)))
    expect(saving).toMatchObject({ errno, register: 'VTB', vcpu: 0 })
    expect(saving.code).toMatch(/\w/)
    expect(guest.refused()).toMatchObject({ restored: true, cause: { errno } })
    expect(guest.timers()).toEqual(guest.before)
  })
})

describe("a host's timebase", () => {
  afterEach(() => {
    vi.restoreAllMocks()
  })

  function clockedGuest() {
    const time = new HandMovedTime()
    const model = new SoftwareKernel({ time: time.read, timebase: 10n ** 12n, timeOfDayNs: 5n })
    const { clock } = model
    const kernel = new FailingKernel(model)
    const side = new Side(kernel, IDS)
    side.setOffsets(3n * STEP)
    return { vcpus: side.vcpus, host: side.host, kernel, clock, time, side }
  }

  it('that stands still between save and load leaves the guest where it was, or ahead', () => {
    const { vcpus, side } = clockedGuest()
    const saved = saveTimebase(vcpus)
    const { advancedTicks } = loadTimebase(vcpus, saved)
    expect(advancedTicks).toBe(0n)
    expect(side.guestTimebases()).toEqual([saved.guestTimebase, saved.guestTimebase])
  })

  it.each([0n, 1n, 10n ** 12n - 1n])(
    'that has gone back to %s does not take the guest back',
    (timebase) => {
      const { vcpus, clock, time, side } = clockedGuest()
      const saved = saveTimebase(vcpus)
      clock.setTimebase(timebase)
      time.pass(SECOND)
      loadTimebase(vcpus, saved)
      for (const guest of side.guestTimebases()) {
        expect(guest).toBeGreaterThanOrEqual(saved.guestTimebase)
      }
    },
  )

  it('that goes back while it is sampled is refused, and nothing is written', () => {
    class Backwards extends SoftwareKernel {
      override sample(into: BigUint64Array): number {
        // Computed like in the addon: half of the second reading less the first, modulo 2^64.
        into.set([10n ** 12n, 5n, (2n ** 64n - 100n) / 2n])
        return 0
      }
    }
    const side = new Side(new Backwards(), IDS)
    side.setOffsets(3n * STEP)
    const before = side.timers()
    for (const call of [
      () => saveTimebase(side.vcpus),
      () => loadTimebase(side.vcpus, state),
      () => side.host.sample(),
    ]) {
      expect(caught(OneRegError, call)).toMatchObject({
        code: 'ERR_KVM_UNAVAILABLE',
        message: expect.stringContaining('went back') as unknown,
      })
    }
    expect(side.timers()).toEqual(before)
  })

  it.each([
    ['stands still', () => undefined],
    [
      'goes back',
      ({ clock }: ReturnType<typeof clockedGuest>) => {
        clock.setTimebase(0n)
      },
    ],
    [
      'can no longer be read',
      ({ kernel }: ReturnType<typeof clockedGuest>) => {
        kernel.fail({ errno: 'EIO', operation: 'mftb', times: 1_000 })
      },
    ],
  ])(
    'that %s while an aligned load waits for it ends the wait, and says what is',
    async (_is, lie) => {
      const guest = clockedGuest()
      const { vcpus } = guest
      const saved = saveTimebase(vcpus)
      let now = performance.now()
      vi.spyOn(performance, 'now').mockImplementation(() => (now += 3_000))
      const loading = loadTimebase(vcpus, saved, { downtime: 'freeze', align: true })
      const offset = vcpus[0]?.get('TB_OFFSET') ?? 0n
      lie(guest)
      const error: unknown = await loading.catch((error: unknown) => error)
      expect(error).toBeInstanceOf(OneRegError)
      expect(error).toMatchObject({ code: 'ERR_TIMEBASE_NOT_REACHED' })
      const instant = BigInt.asUintN(64, saved.guestTimebase - offset)
      expect((error as Error).message).toContain(`the host's reads ${instant}`)
      // It is loaded, as the message says.
      expect(vcpus.map((vcpu) => vcpu.get('TB_OFFSET'))).toEqual([offset, offset])
    },
  )

  it('of a host that is closed while an aligned load waits for it', async () => {
    const { vcpus, host } = clockedGuest()
    const loading = loadTimebase(vcpus, saveTimebase(vcpus), { downtime: 'freeze', align: true })
    host.close()
    await expect(loading).rejects.toMatchObject({ code: 'ERR_KVM_CLOSED' })
  })

  it.each([0n, -38n, -1n, 2n ** 64n, 2n ** 70n])(
    'whose frequency is said to be %s',
    (frequency) => {
      class Untold extends SoftwareKernel {
        override timebaseFrequency(): bigint {
          return frequency
        }
      }
      const side = new Side(new Untold(), IDS)
      const before = side.timers()
      for (const call of [
        () => side.host.timebaseFrequency,
        () => saveTimebase(side.vcpus),
        () => loadTimebase(side.vcpus, state),
        () => inheritTimebase(side.vcpu(0), side.vcpu(1)),
      ]) {
        expect(caught(OneRegError, call).code).toBe('ERR_KVM_UNAVAILABLE')
      }
      expect(side.timers()).toEqual(before)
    },
  )

  it('whose sample has the greatest values still gives a state that can be written', () => {
    class Extreme extends SoftwareKernel {
      override sample(into: BigUint64Array): number {
        into.set([2n ** 64n - 1n, 2n ** 63n - 1n, 2n ** 62n - 1n])
        return 0
      }
    }
    const { vcpus } = new Side(new Extreme(), IDS)
    const saved = saveTimebase(vcpus)
    expect(parseTimebase(serializeTimebase(saved))).toEqual(saved)
  })
})

describe('a device that lies', () => {
  it.each([-25, -1_000_000])('about its capabilities is refused: %d', (result) => {
    class Liar extends SoftwareKernel {
      override checkExtension(): number {
        return result
      }
    }
    expect(caught(OneRegError, () => new Host(new Liar())).code).toBe('ERR_KVM_UNAVAILABLE')
  })
})
