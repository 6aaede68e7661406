import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import {
  KvmError,
  OneRegError,
  TimebaseClockError,
  TimebaseDivergedError,
  TimebaseDowntimeError,
  TimebaseFrequencyError,
  TimebaseNotAppliedError,
} from '../../lib/errors.ts'
import { Host } from '../../lib/kvm/host.ts'
import type { Kernel } from '../../lib/kernel/kernel.ts'
import { inheritTimebase } from '../../lib/timebase/inherit.ts'
import { loadTimebase, TIMEBASE_ADJUST_CHANNEL } from '../../lib/timebase/load.ts'
import { saveTimebase } from '../../lib/timebase/save.ts'
import { SoftwareKernel } from '../../lib/kernel/software/kernel.ts'
import type { SoftwareKernelOptions } from '../../lib/kernel/software/kernel.ts'
import { FailingKernel } from '../../lib/testing/failing-kernel.ts'
import { parseTimebase, serializeTimebase } from '../../lib/timebase/state.ts'
import type { TimebaseState } from '../../lib/timebase/state.ts'
import { HandMovedTime } from '../../lib/testing/hand-moved-time.ts'
import type { PlanOptions } from '../../lib/timebase/plan.ts'
import type { Vcpu } from '../../lib/kvm/vcpu.ts'
import { caught } from '../support/caught.ts'
import { hostPair, MILLISECOND, STEP, SECOND, Side } from '../support/host-pair.ts'
import type { Pair, PairOptions } from '../support/host-pair.ts'
import { DeafKernel, RelativeDecrementerKernel } from '../support/kernels.ts'

const HALF = STEP / 2n
const GUEST_OFFSET = 123n * STEP

const u64 = (value: bigint): bigint => BigInt.asUintN(64, value)
const i64 = (value: bigint): bigint => BigInt.asIntN(64, value)

/** Ticks of 512 MHz in a time that is a multiple of 125 ns. */
const ticksIn = (ns: bigint): bigint => (ns / 125n) * 64n

/** A pair whose source has a guest that has been running. */
function movablePair(options: PairOptions = {}): Pair {
  const pair = hostPair(options)
  pair.source.setOffsets(GUEST_OFFSET)
  pair.time.pass(5n * SECOND)
  return pair
}

describe('a move', () => {
  const everyOption = (['advance', 'freeze'] as const).flatMap((downtime) =>
    (['nearest', 'up'] as const).map((rounding) => ({ downtime, rounding })),
  )

  const places: [string, SoftwareKernelOptions][] = [
    ['a host that has been up for less time', { timebase: 1_000n }],
    ['a host that has been up for longer', { timebase: 2n ** 50n + 12_345n }],
    ['a host whose timebase is about to wrap', { timebase: 2n ** 64n - 1_000n }],
    ['a host whose timebase is in the upper half', { timebase: 2n ** 63n + 77n }],
    ['a host with the same timebase', { timebase: 7_000_000_000_123n }],
  ]
  const clocks: [string, bigint][] = [
    ['the same clock', 0n],
    ['a clock 5 s ahead', 5n * SECOND],
    ['a clock 5 s behind', -5n * SECOND],
  ]
  const moves = everyOption.flatMap((options) =>
    places.flatMap(([place, destination]) =>
      clocks.map(([clock, skew]) => ({ ...options, place, destination, clock, skew })),
    ),
  )

  it.each(moves)(
    'to $place and $clock never takes the guest back ($downtime, $rounding)',
    ({ destination: there, skew, downtime, rounding }) => {
      const { time, source, destination } = movablePair({
        destination: { ...there, timeOfDayNs: 1_700_000_000n * SECOND + skew },
      })
      const before = source.guestTimebases()
      const saved = saveTimebase(source.vcpus)
      time.pass(3n * SECOND)
      const outcome = loadTimebase(destination.vcpus, saved, { downtime, rounding })

      const after = destination.guestTimebases()
      expect(after).toEqual(Array.from(before, () => outcome.guestTimebase))
      const passed = 3n * SECOND + skew
      const wanted = downtime === 'advance' && passed > 0n ? ticksIn(passed) : 0n
      const mayBeBehind = rounding === 'nearest' && wanted > 0n
      after.forEach((now, index) => {
        const advanced = i64(now - (before[index] ?? 0n))
        expect(advanced).toBeGreaterThanOrEqual(0n)
        expect(advanced - wanted).toBeGreaterThanOrEqual(mayBeBehind ? -HALF : 0n)
        expect(advanced - wanted).toBeLessThan(mayBeBehind ? HALF + 1n : STEP)
      })
      for (const vcpu of destination.vcpus) {
        expect(vcpu.get('TB_OFFSET')).toBe(outcome.offset)
        expect(vcpu.get('TB_OFFSET') % STEP).toBe(0n)
      }
      expect(outcome).toMatchObject({ downtimeNs: passed > 0n ? passed : 0n, skipped: [] })
    },
  )

  it('advances and takes the nearest offset by default', () => {
    // The offset that is wanted lies a fifth of a step above a multiple.
    const timebase = 7_000_000_000_123n - STEP / 5n
    const { time, source, destination } = movablePair({ destination: { timebase } })
    const saved = saveTimebase(source.vcpus)
    time.pass(2n * SECOND)
    const offsetWith = (options?: PlanOptions): bigint =>
      loadTimebase(destination.vcpus, saved, options).offset
    expect(offsetWith()).toBe(GUEST_OFFSET)
    expect(offsetWith({ downtime: 'advance', rounding: 'nearest' })).toBe(GUEST_OFFSET)
    expect(offsetWith({ rounding: 'up' })).toBe(GUEST_OFFSET + STEP)
    expect(offsetWith({ downtime: 'freeze' })).toBe(GUEST_OFFSET - 60n * STEP)
  })

  it('takes a guest below its host, to an offset below 0', () => {
    const { source, destination } = hostPair({
      source: { timebase: 1_000n },
      destination: { timebase: 2n ** 40n },
    })
    const outcome = loadTimebase(destination.vcpus, saveTimebase(source.vcpus))
    expect(i64(outcome.offset)).toBe(STEP - 2n ** 40n)
    expect(destination.guestTimebases()).toEqual([STEP, STEP, STEP, STEP])
  })

  it('goes there and back a hundred times without drifting', () => {
    const { time, source, destination } = movablePair()
    const [start = 0n] = source.guestTimebases()
    let moved = 0n
    for (let round = 0; round < 100; round++) {
      for (const [from, to] of [
        [source, destination],
        [destination, source],
      ] as const) {
        const saved = saveTimebase(from.vcpus)
        time.pass(50n * MILLISECOND)
        moved += 50n * MILLISECOND
        loadTimebase(to.vcpus, saved)
        const error = i64(
          saved.guestTimebase + ticksIn(50n * MILLISECOND) - u64(start + ticksIn(moved)),
        )
        expect(error <= HALF && error >= -HALF, `an error of ${error} ticks`).toBe(true)
      }
    }
    expect(source.guestTimebases()[0]).toBe(u64(start + ticksIn(moved)))
  })

  it('goes around three hosts three hundred times without drifting', () => {
    const fifth = STEP / 5n
    const time = new HandMovedTime()
    const ring = [0n, 2n * fifth, 4n * fifth].map((timebase) => {
      const clock = { time: time.read, timeOfDayNs: 0n, timebase }
      return new Side(new FailingKernel(new SoftwareKernel(clock)), [0, 1])
    })
    let worst = 0n
    let state: TimebaseState | undefined
    for (let round = 0; round < 300; round++) {
      for (const { vcpus } of ring) {
        if (state !== undefined) loadTimebase(vcpus, state)
        state = saveTimebase(vcpus)
        // The guest began at 0, as time did.
        const error = state.guestTimebase - ticksIn(time.read())
        if (error * error > worst * worst) worst = error
        time.pass(50n * MILLISECOND)
      }
    }
    expect(worst <= HALF && worst >= -HALF, `an error of ${worst} ticks`).toBe(true)
    expect(worst).not.toBe(0n)
  })

  it('can be made through text', () => {
    const { source, destination } = movablePair()
    const saved = saveTimebase(source.vcpus)
    loadTimebase(destination.vcpus, parseTimebase(serializeTimebase(saved)))
    for (const now of destination.guestTimebases()) {
      expect(now).toBeGreaterThanOrEqual(saved.guestTimebase)
    }
  })

  it('can be made within one host, where the guest went on in between', () => {
    const { time, source } = movablePair()
    const saved = saveTimebase(source.vcpus)
    time.pass(SECOND)
    expect(loadTimebase(source.vcpus, saved).offset).toBe(GUEST_OFFSET)
  })
})

describe('the wall clocks', () => {
  const wrongBy = (ms: bigint) => ({
    wallClock: { synchronised: true, maxErrorNs: ms * MILLISECOND },
  })

  it('are told by the state, and by how much the guest can be off by the outcome', () => {
    const { time, source, destination } = movablePair({
      source: wrongBy(3n),
      destination: wrongBy(4n),
    })
    const saved = saveTimebase(source.vcpus)
    expect(parseTimebase(serializeTimebase(saved)).clock).toEqual({
      synchronised: true,
      maxErrorNs: 3n * MILLISECOND,
    })
    time.pass(2n * SECOND)
    const { errorNs, roundingTicks, clockDifferenceNs } = loadTimebase(destination.vcpus, saved)
    expect(clockDifferenceNs).toBe(2n * SECOND)
    const rounding = roundingTicks < 0n ? -roundingTicks : roundingTicks
    expect(errorNs).toBe(7n * MILLISECOND + (rounding * 125n + 63n) / 64n)
  })

  it('of which the second is 30 s behind are an error with a limit, and told without one', () => {
    const { time, source, destination } = movablePair({
      destination: { timeOfDayNs: 1_700_000_000n * SECOND - 30n * SECOND },
    })
    const saved = saveTimebase(source.vcpus)
    time.pass(SECOND)
    const before = destination.timers()
    const error = caught(TimebaseClockError, () =>
      loadTimebase(destination.vcpus, saved, { maxDowntimeNs: 5n * SECOND }),
    )
    expect(error).toMatchObject({ code: 'ERR_TIMEBASE_CLOCK', behindNs: 29n * SECOND })
    expect(destination.timers()).toEqual(before)

    const outcome = loadTimebase(destination.vcpus, saved)
    expect(outcome).toMatchObject({ downtimeNs: 0n, clockDifferenceNs: -29n * SECOND })
    expect(outcome.advancedTicks).toBeLessThan(STEP)
  })

  it('are left out where adjtimex fails, and of a kernel that does not tell', () => {
    const { source, destination } = movablePair()
    source.kernel.fail({ errno: 'EPERM', operation: 'adjtimex' })
    const saved = saveTimebase(source.vcpus)
    expect(saved).not.toHaveProperty('clock')
    expect(loadTimebase(destination.vcpus, saved)).not.toHaveProperty('errorNs')

    const silent = new SoftwareKernel()
    Object.defineProperty(silent, 'clockState', { value: undefined })
    expect(new Host(silent).sample()).not.toHaveProperty('clock')
  })

  it('that say something impossible are not known', () => {
    const kernel = new SoftwareKernel()
    vi.spyOn(kernel, 'clockState').mockImplementation((into) => {
      into[0] = 2n ** 64n - 1n
      return 0
    })
    expect(new Host(kernel).sample()).not.toHaveProperty('clock')
  })
})

describe('a saved state', () => {
  it('says what the guest read, when, and with which offset', () => {
    const { source } = movablePair({ ids: [0, 8] })
    expect(saveTimebase(source.vcpus)).toEqual({
      guestTimebase: 7_000_000_000_123n + ticksIn(5n * SECOND) + GUEST_OFFSET,
      timeOfDayNs: 1_700_000_005n * SECOND,
      timebaseFrequency: 512_000_000n,
      uncertaintyNs: 0n,
      clock: { synchronised: true, maxErrorNs: 0n },
      offset: GUEST_OFFSET,
      vcpus: source.vcpus.map((vcpu) => ({
        id: vcpu.id,
        decExpiry: vcpu.get('DEC_EXPIRY'),
        vtb: 0n,
        purr: 0n,
        spurr: 0n,
      })),
    })
  })

  it('has the offset that the kernel holds, not the one that was asked for', () => {
    const { source } = hostPair({ ids: [0] })
    source.setOffsets(STEP + 1n)
    expect(saveTimebase(source.vcpus).offset).toBe(2n * STEP)
  })

  it('wraps at 2^64', () => {
    const { source } = hostPair({ ids: [0], source: { timebase: 2n ** 64n - 5n } })
    source.setOffsets(STEP)
    expect(saveTimebase(source.vcpus).guestTimebase).toBe(STEP - 5n)
  })

  it('has a time of day before the epoch', () => {
    const { source } = hostPair({ ids: [0], source: { timeOfDayNs: -SECOND } })
    expect(saveTimebase(source.vcpus).timeOfDayNs).toBe(-SECOND)
  })

  it('has no rounding error where nothing was loaded', () => {
    const { source } = movablePair()
    expect(saveTimebase(source.vcpus)).not.toHaveProperty('roundingTicks')
  })

  it('has the rounding error of the load before, also through text', () => {
    const { time, source, destination } = movablePair()
    time.pass(40n * MILLISECOND)
    const { roundingTicks } = loadTimebase(destination.vcpus, saveTimebase(source.vcpus))
    expect(roundingTicks).not.toBe(0n)
    const saved = saveTimebase(destination.vcpus)
    expect(saved.roundingTicks).toBe(roundingTicks)
    expect(parseTimebase(serializeTimebase(saved)).roundingTicks).toBe(roundingTicks)
  })

  it('has no rounding error of a load after which the offset was set anew', () => {
    const { source, destination } = movablePair()
    loadTimebase(destination.vcpus, saveTimebase(source.vcpus))
    destination.setOffsets(destination.vcpu(0).get('TB_OFFSET') + STEP)
    expect(saveTimebase(destination.vcpus)).not.toHaveProperty('roundingTicks')
  })

  it('has the rounding error from before a load that failed and was put back', () => {
    const { time, source, destination } = movablePair()
    const state = saveTimebase(source.vcpus)
    const { roundingTicks } = loadTimebase(destination.vcpus, state)
    expect(roundingTicks).not.toBe(0n)
    time.pass(SECOND)
    destination.kernel.fail({ errno: 'EIO', register: 'VTB', operation: 'KVM_SET_ONE_REG' })
    // Frozen, so with another offset.
    const frozen = { downtime: 'freeze' } as const
    expect(() => loadTimebase(destination.vcpus, state, frozen)).toThrow(TimebaseNotAppliedError)
    expect(saveTimebase(destination.vcpus).roundingTicks).toBe(roundingTicks)
  })

  it('has no registers that the kernel lacks', () => {
    const { source } = hostPair({ ids: [4], source: { without: ['DEC_EXPIRY', 'VTB', 'SPURR'] } })
    expect(saveTimebase(source.vcpus).vcpus).toStrictEqual([{ id: 4, purr: 0n }])
  })

  it.each([
    ['DEC_EXPIRY', 'decExpiry'],
    ['VTB', 'vtb'],
    ['PURR', 'purr'],
    ['SPURR', 'spurr'],
  ] as const)('has all others where only %s is missing', (name, field) => {
    const { source } = hostPair({ ids: [4], source: { without: [name] } })
    const all = { DEC_EXPIRY: 1n, VTB: 2n, PURR: 3n, SPURR: 4n }
    source.vcpu(4).write(Object.fromEntries(Object.entries(all).filter(([key]) => key !== name)))
    const [saved] = saveTimebase(source.vcpus).vcpus
    const fields = { decExpiry: 1n, vtb: 2n, purr: 3n, spurr: 4n }
    const others = Object.entries(fields).filter(([key]) => key !== field)
    expect(saved).toStrictEqual({ id: 4, ...Object.fromEntries(others) })
  })

  it('leaves the vCPUs as they are', () => {
    const { source } = movablePair()
    const before = source.timers()
    saveTimebase(source.vcpus)
    expect(source.timers()).toEqual(before)
  })
})

describe('the time registers of each vCPU', () => {
  function setTimers({ vcpus }: Side): void {
    for (const vcpu of vcpus) {
      const id = BigInt(vcpu.id)
      vcpu.write({
        DEC_EXPIRY: 2n ** 63n + id,
        VTB: 1_000n + id,
        PURR: 2n ** 64n - 1n - id,
        SPURR: 3_000n + id,
      })
    }
  }

  function timersOf(vcpu: Vcpu) {
    return vcpu.read(['DEC_EXPIRY', 'VTB', 'PURR', 'SPURR'])
  }

  it.each<PlanOptions>([
    { downtime: 'advance' },
    { downtime: 'freeze' },
    { downtime: 'advance', rounding: 'up' },
  ])('arrive as they were saved, without the downtime, with %o', (options) => {
    const { time, source, destination } = movablePair()
    setTimers(source)
    const saved = saveTimebase(source.vcpus)
    time.pass(3_600n * SECOND)
    loadTimebase(destination.vcpus, saved, options)
    expect(destination.vcpus.map(timersOf)).toEqual(source.vcpus.map(timersOf))
    expect(destination.vcpu(3).get('VTB')).toBe(1_003n)
  })

  it('arrive by id, in whichever order the vCPUs are given', () => {
    const { source, destination } = movablePair({ ids: [0, 1, 5, 9] })
    setTimers(source)
    const saved = saveTimebase([source.vcpu(5), source.vcpu(0), source.vcpu(9), source.vcpu(1)])
    expect(saved.vcpus.map(({ id }) => id)).toEqual([5, 0, 9, 1])
    const given = [9, 1, 0, 5].map((id) => destination.vcpu(id))
    loadTimebase(given, saved)
    for (const id of [0, 1, 5, 9]) {
      expect(timersOf(destination.vcpu(id))).toEqual(timersOf(source.vcpu(id)))
    }
  })

  it('are zeroed where zeros were saved', () => {
    const { source, destination } = movablePair()
    setTimers(destination)
    const zeros = { VTB: 0n, PURR: 0n, SPURR: 0n }
    for (const vcpu of source.vcpus) vcpu.write(zeros)
    loadTimebase(destination.vcpus, saveTimebase(source.vcpus))
    expect(timersOf(destination.vcpu(2))).toMatchObject(zeros)
  })

  it('stay, but for the decrementer, where none were saved', () => {
    const { source, destination } = movablePair()
    setTimers(destination)
    const saved = saveTimebase(source.vcpus)
    const outcome = loadTimebase(destination.vcpus, {
      ...saved,
      vcpus: saved.vcpus.map(({ id }) => ({ id })),
    })
    expect(timersOf(destination.vcpu(2))).toEqual({
      DEC_EXPIRY: outcome.guestTimebase,
      VTB: 1_002n,
      PURR: 2n ** 64n - 3n,
      SPURR: 3_002n,
    })
  })

  it("a vCPU that was not saved gets the guest's timebase of now in DEC_EXPIRY", () => {
    const { time, source, destination } = movablePair({ ids: [0, 1] })
    setTimers(source)
    for (const vcpu of destination.vcpus) vcpu.set('DEC_EXPIRY', 5n)
    const saved = saveTimebase([source.vcpu(0)])
    time.pass(SECOND)
    const { guestTimebase } = loadTimebase(destination.vcpus, saved)
    expect(destination.vcpu(0).get('DEC_EXPIRY')).toBe(2n ** 63n)
    expect(destination.vcpu(1).get('DEC_EXPIRY')).toBe(guestTimebase)
    expect(destination.guestTimebases()).toEqual([guestTimebase, guestTimebase])
  })

  it('are reported where this kernel lacks them, and the rest is loaded', () => {
    const { source, destination } = movablePair({
      ids: [2, 7],
      destination: { without: ['DEC_EXPIRY', 'SPURR'] },
    })
    setTimers(source)
    const outcome = loadTimebase(destination.vcpus, saveTimebase(source.vcpus))
    expect(outcome.skipped).toHaveLength(4)
    expect(outcome.skipped).toEqual(
      expect.arrayContaining([
        { vcpu: 2, register: 'DEC_EXPIRY' },
        { vcpu: 2, register: 'SPURR' },
        { vcpu: 7, register: 'DEC_EXPIRY' },
        { vcpu: 7, register: 'SPURR' },
      ]),
    )
    expect(destination.timers()).toEqual({
      'TB_OFFSET of vCPU 2': outcome.offset,
      'VTB of vCPU 2': 1_002n,
      'PURR of vCPU 2': 2n ** 64n - 3n,
      'TB_OFFSET of vCPU 7': outcome.offset,
      'VTB of vCPU 7': 1_007n,
      'PURR of vCPU 7': 2n ** 64n - 8n,
    })
  })

  it('are not reported where none were saved and none are there', () => {
    const without = ['VTB', 'PURR', 'SPURR'] as const
    const { source, destination } = movablePair({
      source: { without },
      destination: { without },
    })
    expect(loadTimebase(destination.vcpus, saveTimebase(source.vcpus)).skipped).toEqual([])
  })
})

describe('on kernels 4.16 to 5.16, which keep DEC_EXPIRY relative to the offset,', () => {
  function oldPair(): { time: HandMovedTime; source: Side; destination: Side } {
    const time = new HandMovedTime()
    const clock = { time: time.read, timeOfDayNs: 0n }
    const [source, destination] = [10n ** 12n, 77n].map((timebase) => {
      const kernel = new RelativeDecrementerKernel({ ...clock, timebase })
      return new Side(new FailingKernel(kernel), [0, 1])
    }) as [Side, Side]
    source.setOffsets(GUEST_OFFSET)
    source.vcpu(0).set('DEC_EXPIRY', 10n ** 13n)
    source.vcpu(1).set('DEC_EXPIRY', 10n ** 13n + 1n)
    return { time, source, destination }
  }

  it('the model moves DEC_EXPIRY along with the offset', () => {
    const { source } = oldPair()
    const vcpu = source.vcpu(0)
    vcpu.set('TB_OFFSET', GUEST_OFFSET + STEP)
    expect(vcpu.get('DEC_EXPIRY')).toBe(10n ** 13n + STEP)
  })

  it('a load ends with what was saved', () => {
    const { time, source, destination } = oldPair()
    const saved = saveTimebase(source.vcpus)
    time.pass(SECOND)
    loadTimebase(destination.vcpus, saved)
    expect(destination.vcpu(0).get('DEC_EXPIRY')).toBe(10n ** 13n)
    expect(destination.vcpu(1).get('DEC_EXPIRY')).toBe(10n ** 13n + 1n)
  })

  it('a failed load puts it back', () => {
    const { source, destination } = oldPair()
    destination.setOffsets(5n * STEP)
    destination.vcpu(0).set('DEC_EXPIRY', 4_000n)
    destination.vcpu(1).set('DEC_EXPIRY', 2n ** 64n - 1n)
    const before = destination.timers()
    const saved = saveTimebase(source.vcpus)
    destination.kernel.fail({ errno: 'EIO', register: 'SPURR', operation: 'KVM_SET_ONE_REG' })
    const error = caught(TimebaseNotAppliedError, () => loadTimebase(destination.vcpus, saved))
    expect(error).toMatchObject({ register: 'SPURR', restored: true })
    expect(destination.timers()).toEqual(before)
  })

  it("a vCPU that joins gets the guest's timebase in DEC_EXPIRY", () => {
    const { source } = oldPair()
    const joining = source.vm.createVcpu(2)
    const { guestTimebase } = inheritTimebase(source.vcpu(0), joining)
    expect(joining.get('TB_OFFSET')).toBe(GUEST_OFFSET)
    expect(joining.get('DEC_EXPIRY')).toBe(guestTimebase)
  })
})

describe('a kernel that says it has set a register and has not', () => {
  function deafPair(register: 'TB_OFFSET' | 'DEC_EXPIRY'): Pair {
    const pair = movablePair()
    const kernel = new DeafKernel(register, {
      time: pair.time.read,
      timebase: 99n,
      timeOfDayNs: 0n,
    })
    return { ...pair, destination: new Side(new FailingKernel(kernel), [0, 1, 2, 3]) }
  }

  it.each(['TB_OFFSET', 'DEC_EXPIRY'] as const)('fails a load by reading %s back', (register) => {
    const { source, destination } = deafPair(register)
    for (const vcpu of destination.vcpus) vcpu.write({ VTB: 1n, PURR: 2n, SPURR: 3n })
    const before = destination.timers()
    const saved = saveTimebase(source.vcpus)
    const error = caught(TimebaseNotAppliedError, () => loadTimebase(destination.vcpus, saved))
    expect(error).toMatchObject({
      code: 'ERR_TIMEBASE_NOT_APPLIED',
      vcpu: 0,
      register,
      restored: true,
      notRestored: [],
    })
    expect(error.message).toMatch(new RegExp(`${register} on vCPU 0 .*reads back as 0`))
    expect(destination.timers()).toEqual(before)
  })

  it('fails a vCPU that joins', () => {
    const { destination } = deafPair('DEC_EXPIRY')
    const [first, second] = [destination.vcpu(0), destination.vcpu(1)]
    first.set('TB_OFFSET', STEP)
    const error = caught(TimebaseNotAppliedError, () => inheritTimebase(first, second))
    expect(error).toMatchObject({ vcpu: 1, register: 'DEC_EXPIRY', restored: true })
    expect(second.get('TB_OFFSET')).toBe(0n)
  })
})

describe('what the kernel is asked', () => {
  function spiesOn(kernel: Kernel) {
    return {
      getOneRegs: vi.spyOn(kernel, 'getOneRegs'),
      setOneRegs: vi.spyOn(kernel, 'setOneRegs'),
      getOneReg: vi.spyOn(kernel, 'getOneReg'),
      setOneReg: vi.spyOn(kernel, 'setOneReg'),
      sample: vi.spyOn(kernel, 'sample'),
      timebase: vi.spyOn(kernel, 'timebase'),
    }
  }

  function countsOf(spies: ReturnType<typeof spiesOn>): Record<string, number> {
    return Object.fromEntries(
      Object.entries(spies).map(([name, spy]) => [name, spy.mock.calls.length]),
    )
  }

  function crossings(count: number): Record<'save' | 'load' | 'inherit', Record<string, number>> {
    const ids = Array.from({ length: count }, (_, id) => id)
    const { source, destination } = movablePair({ ids })
    const joining = destination.vm.createVcpu(100)
    const onSource = spiesOn(source.kernel)
    const saved = saveTimebase(source.vcpus)
    const onLoad = spiesOn(destination.kernel)
    loadTimebase(destination.vcpus, saved)
    const load = countsOf(onLoad)
    vi.restoreAllMocks()
    const onInherit = spiesOn(destination.kernel)
    inheritTimebase(destination.vcpu(0), joining)
    return { save: countsOf(onSource), load, inherit: countsOf(onInherit) }
  }

  it('crosses into it as often for one vCPU as for sixteen', () => {
    const one = crossings(1)
    expect(crossings(16)).toEqual(one)
    expect(one.load).toMatchObject({ getOneReg: 0, setOneReg: 0 })
    expect(one.load['setOneRegs']).toBeGreaterThan(0)
    expect(one.save).toMatchObject({ getOneRegs: 1, setOneRegs: 0, getOneReg: 0, setOneReg: 0 })
  })

  it('reads the clocks once for all vCPUs', () => {
    const { save, load, inherit } = crossings(4)
    const once = { sample: 1, timebase: 0 }
    expect(save).toMatchObject(once)
    expect(load).toMatchObject(once)
    expect(inherit).toMatchObject(once)
  })

  it('counts the time that passes while a load runs from one instant', () => {
    const { time, source, destination } = movablePair()
    const saved = saveTimebase(source.vcpus)
    // Every batch of writes takes 1 s.
    const read = vi.spyOn(destination.kernel, 'sample')
    const write = destination.kernel.setOneRegs.bind(destination.kernel)
    vi.spyOn(destination.kernel, 'setOneRegs').mockImplementation((batch) => {
      time.pass(SECOND)
      return write(batch)
    })
    loadTimebase(destination.vcpus, saved, { rounding: 'up' })
    expect(read).toHaveBeenCalledTimes(1)
    const [first = 0n, ...others] = destination.guestTimebases()
    expect(others).toEqual([first, first, first])
    const error = first - u64(saved.guestTimebase + ticksIn(2n * SECOND))
    expect(error >= 0n && error < STEP, `an error of ${error} ticks`).toBe(true)
  })
})

describe('vCPUs that do not belong together', () => {
  type Call = (vcpus: readonly Vcpu[]) => unknown
  const saved: TimebaseState = {
    guestTimebase: 1n,
    timeOfDayNs: 0n,
    timebaseFrequency: 512_000_000n,
    uncertaintyNs: 0n,
    offset: 0n,
    vcpus: [],
  }
  const saveAndLoad: [string, Call][] = [
    ['saveTimebase', (vcpus) => saveTimebase(vcpus)],
    ['loadTimebase', (vcpus) => loadTimebase(vcpus, saved)],
  ]
  const all: [string, Call][] = [
    ...saveAndLoad,
    ['inheritTimebase', (vcpus) => inheritTimebase(...(vcpus as readonly [Vcpu, Vcpu]))],
  ]
  let pair: Pair
  let calls: number

  beforeEach(() => {
    pair = movablePair()
    calls = pair.source.kernel.calls
  })

  /** No system call was made on the source. */
  function expectNoCalls(): void {
    expect(pair.source.kernel.calls).toBe(calls)
  }

  it.each(saveAndLoad)('%s says when there are none', (_what, call) => {
    const error = caught(OneRegError, () => call([]))
    expect(error.code).toBe('ERR_NO_VCPUS')
  })

  it.each(all)('%s refuses those of two hosts', (_what, call) => {
    const { source, destination } = pair
    const other = destination.kernel.calls
    const error = caught(OneRegError, () => call([source.vcpu(0), destination.vcpu(1)]))
    expect(error).toMatchObject({ code: 'ERR_VCPUS_MISMATCH', reason: 'hosts' })
    expectNoCalls()
    expect(destination.kernel.calls).toBe(other)
  })

  it.each(all)('%s refuses the same one twice', (_what, call) => {
    const { source } = pair
    const error = caught(OneRegError, () => call([source.vcpu(1), source.vcpu(1)]))
    expect(error).toMatchObject({ code: 'ERR_VCPUS_MISMATCH', reason: 'repeated' })
    expect(error.message).toContain('vCPU 1')
    expectNoCalls()
  })

  it.each(all)('%s refuses those of two VMs of one host', (_what, call) => {
    const { source } = pair
    const ofAnother = source.host.createVm().createVcpu(9)
    calls = source.kernel.calls
    const error = caught(OneRegError, () => call([source.vcpu(1), ofAnother]))
    expect(error).toMatchObject({ code: 'ERR_VCPUS_MISMATCH', reason: 'vms' })
    expect(error.message).toContain('different VMs')
    expectNoCalls()
  })

  it.each(all)('%s takes borrowed ones beside those that were made here', (_what, call) => {
    const { host, vm } = pair.source
    const added = vm.createVcpu(9)
    const borrowed = host.vcpu(added.fd, 9)
    borrowed.set('TB_OFFSET', pair.source.vcpu(1).get('TB_OFFSET'))
    expect(() => call([pair.source.vcpu(1), borrowed])).not.toThrow()
  })

  it.each(all)('%s refuses a proxy of one, and runs none of its traps', (_what, call) => {
    const trap = vi.fn(() => {
      pair.source.vcpu(1).close()
    })
    const traps = ['get', 'getPrototypeOf', 'has', 'getOwnPropertyDescriptor', 'ownKeys'] as const
    const handler = Object.fromEntries(traps.map((name) => [name, trap]))
    const proxy = new Proxy(pair.source.vcpu(2), handler)
    const error = caught(TypeError, () => call([pair.source.vcpu(1), proxy]))
    expect(error).toMatchObject({ code: 'ERR_INVALID_ARG_TYPE' })
    expect(trap).not.toHaveBeenCalled()
    expectNoCalls()
  })

  it.each(all)('%s sees that a getter on one closed another', (_what, call) => {
    const { source } = pair
    const [first, second] = [source.vcpu(1), source.vcpu(2)]
    let other: Vcpu | undefined
    Object.defineProperty(second, 'id', {
      get: () => {
        first.close()
        other ??= source.host.createVm().createVcpu(7)
        return 2
      },
    })
    const error = caught(OneRegError, () => call([first, second]))
    expect(error.code).toBe('ERR_KVM_CLOSED')
    expect(error.message).toMatch(/^vCPU 1 is closed/)
    expect(other?.get('TB_OFFSET')).toBe(0n)
  })

  it.each(all)('%s refuses two of one id, borrowed or of two VMs', (_what, call) => {
    const { host } = pair.source
    const borrowed = host.vcpu(pair.source.vcpu(1).fd, 1)
    const ofAnother = host.createVm().createVcpu(1)
    calls = pair.source.kernel.calls
    for (const second of [borrowed, ofAnother]) {
      const error = caught(OneRegError, () => call([pair.source.vcpu(1), second]))
      expect(error.code).toBe('ERR_VCPUS_MISMATCH')
    }
    expectNoCalls()
  })

  it.each(
    all.flatMap(([name, call]) =>
      [undefined, null, 0, 'vcpu', {}, { id: 0, fd: 5 }].map((value) => ({ name, call, value })),
    ),
  )('$name refuses $value for a vCPU', ({ call, value }) => {
    const error = caught(TypeError, () => call([pair.source.vcpu(0), value as unknown as Vcpu]))
    expect(error).toMatchObject({ code: 'ERR_INVALID_ARG_TYPE' })
    expectNoCalls()
  })

  it.each(
    saveAndLoad.flatMap(([name, call]) =>
      [undefined, null, 0, 'vcpus', {}, new Set()].map((value) => ({ name, call, value })),
    ),
  )('$name refuses $value for the array', ({ call, value }) => {
    const error = caught(TypeError, () => call(value as Vcpu[]))
    expect(error).toMatchObject({ code: 'ERR_INVALID_ARG_TYPE' })
  })

  it.each(saveAndLoad)('%s takes one vCPU for an array of it as wrong', (_what, call) => {
    const error = caught(TypeError, () => call(pair.source.vcpu(0) as unknown as Vcpu[]))
    expect(error).toMatchObject({ code: 'ERR_INVALID_ARG_TYPE' })
    expectNoCalls()
  })

  it.each(all)('%s refuses a closed one before any system call', (_what, call) => {
    const { source } = pair
    source.vcpu(1).close()
    calls = source.kernel.calls
    const error = caught(OneRegError, () => call([source.vcpu(0), source.vcpu(1)]))
    expect(error.code).toBe('ERR_KVM_CLOSED')
    expectNoCalls()
  })

  it.each(all)('%s refuses those of a closed VM before any system call', (_what, call) => {
    const { source } = pair
    source.vm.close()
    calls = source.kernel.calls
    const error = caught(OneRegError, () => call([source.vcpu(0), source.vcpu(1)]))
    expect(error.code).toBe('ERR_KVM_CLOSED')
    expectNoCalls()
  })

  it.each(all)('%s refuses borrowed ones of a closed host', (_what, call) => {
    const { source } = pair
    const borrowed = [0, 1].map((id) => source.host.vcpu(source.vcpu(id).fd, id))
    source.host.close()
    calls = source.kernel.calls
    const error = caught(OneRegError, () => call(borrowed))
    expect(error.code).toBe('ERR_KVM_CLOSED')
    expectNoCalls()
  })

  it.each(all)('%s works with borrowed ones', (_what, call) => {
    const { source } = pair
    const borrowed = [0, 1].map((id) => source.host.vcpu(source.vcpu(id).fd, id))
    expect(() => call(borrowed)).not.toThrow()
  })

  it.each(all)('%s says which register the kernel lacks without TB_OFFSET', (_what, call) => {
    const { source } = hostPair({ source: { without: ['TB_OFFSET', 'DEC_EXPIRY'] } })
    for (const vcpu of source.vcpus) vcpu.write({ VTB: 1n, PURR: 2n, SPURR: 3n })
    const before = source.timers()
    const error = caught(OneRegError, () => call([source.vcpu(2), source.vcpu(3)]))
    expect(error.code).toBe('ERR_KVM_UNAVAILABLE')
    expect(error.message).toMatch(/TB_OFFSET.*HV/)
    expect(source.timers()).toEqual(before)
  })
})

describe('saveTimebase', () => {
  it('lists the offsets where they differ', () => {
    const { source } = movablePair({ ids: [0, 1, 4] })
    source.vcpu(4).set('TB_OFFSET', 2n ** 64n - STEP)
    const error = caught(TimebaseDivergedError, () => saveTimebase(source.vcpus))
    expect(error.code).toBe('ERR_TIMEBASE_DIVERGED')
    expect(error.offsets).toEqual([
      { vcpu: 0, offset: GUEST_OFFSET },
      { vcpu: 1, offset: GUEST_OFFSET },
      { vcpu: 4, offset: 2n ** 64n - STEP },
    ])
    expect(error.message).toContain(`vCPU 1: ${GUEST_OFFSET}`)
    expect(error.message).toContain(`vCPU 4: ${2n ** 64n - STEP}`)
  })

  it.each([
    ['in the upper 32 bits', 1n << 32n],
    ['in the lower 32 bits', STEP],
  ])('refuses offsets that differ only %s', (_what, difference) => {
    const { source } = movablePair({ ids: [0, 1, 4] })
    source.vcpu(1).set('TB_OFFSET', GUEST_OFFSET + difference)
    expect(() => saveTimebase(source.vcpus)).toThrow(TimebaseDivergedError)
  })
})

describe('loadTimebase', () => {
  it('sets offsets that differed to one', () => {
    const { source, destination } = movablePair()
    destination.vcpus.forEach((vcpu, index) => {
      vcpu.set('TB_OFFSET', BigInt(index) * STEP)
    })
    loadTimebase(destination.vcpus, saveTimebase(source.vcpus))
    expect(new Set(destination.guestTimebases()).size).toBe(1)
  })

  it('refuses a state with vCPUs that are not given, and changes nothing', () => {
    const { source, destination } = movablePair({ ids: [0, 1, 2, 3] })
    const saved = saveTimebase(source.vcpus)
    const before = destination.timers()
    const { calls } = destination.kernel
    const given = [destination.vcpu(0), destination.vcpu(2)]
    const error = caught(OneRegError, () => loadTimebase(given, saved))
    expect(error).toMatchObject({ code: 'ERR_VCPUS_MISMATCH', reason: 'missing' })
    expect(error.message).toMatch(/1, 3/)
    expect(destination.kernel.calls).toBe(calls)
    expect(destination.timers()).toEqual(before)
  })

  it.each([
    ['the first', [1, 2, 3], '0'],
    ['one in the middle', [0, 1, 3], '2'],
    ['the last', [0, 1, 2], '3'],
    ['the last two', [0, 1], '2, 3'],
  ])('refuses a state when %s is left out', (_what, ids, absent) => {
    const { source, destination } = movablePair({ ids: [0, 1, 2, 3] })
    const saved = saveTimebase(source.vcpus)
    const before = destination.timers()
    const given = ids.map((id) => destination.vcpu(id))
    const error = caught(OneRegError, () => loadTimebase(given, saved))
    expect(error.code).toBe('ERR_VCPUS_MISMATCH')
    expect(error.message).toMatch(new RegExp(`: ${absent}$`))
    expect(destination.timers()).toEqual(before)
  })

  it('gives vCPUs that are more than were saved the present, whatever their place', () => {
    const { source } = movablePair({ ids: [0, 1] })
    const { destination } = hostPair({ ids: [0, 1, 2] })
    const saved = saveTimebase(source.vcpus)
    const vcpus = saved.vcpus.map((timers) => ({ ...timers, vtb: 70n + BigInt(timers.id) }))
    loadTimebase(destination.vcpus, { ...saved, vcpus })
    expect(destination.vcpus.map((vcpu) => vcpu.get('VTB'))).toEqual([70n, 71n, 0n])
  })

  it('refuses to write if a vCPU was closed while the clocks were read', () => {
    const { source, destination } = movablePair()
    const saved = saveTimebase(source.vcpus)
    const { kernel } = destination
    const sample = kernel.sample.bind(kernel)
    let other: Vcpu | undefined
    vi.spyOn(kernel, 'sample').mockImplementation((into) => {
      destination.vcpu(0).close()
      other = destination.host.createVm().createVcpu(7)
      return sample(into)
    })
    const error = caught(OneRegError, () => loadTimebase(destination.vcpus, saved))
    expect(error.code).toBe('ERR_KVM_CLOSED')
    expect(other?.get('TB_OFFSET')).toBe(0n)
  })

  it('refuses another frequency before any system call', () => {
    const { source, destination } = movablePair({
      destination: { timebaseFrequency: 33_333_333n },
    })
    const saved = saveTimebase(source.vcpus)
    const { calls } = destination.kernel
    const error = caught(TimebaseFrequencyError, () => loadTimebase(destination.vcpus, saved))
    expect(error).toMatchObject({ saved: 512_000_000n, host: 33_333_333n })
    expect(destination.kernel.calls).toBe(calls)
  })

  it.each(['advance', 'freeze'] as const)(
    'refuses a downtime above maxDowntimeNs and changes nothing (%s)',
    (downtime) => {
      const { time, source, destination } = movablePair()
      const saved = saveTimebase(source.vcpus)
      const before = destination.timers()
      time.pass(SECOND)
      const tooShort = { downtime, maxDowntimeNs: SECOND - 1n }
      const error = caught(TimebaseDowntimeError, () =>
        loadTimebase(destination.vcpus, saved, tooShort),
      )
      expect(error).toMatchObject({ downtimeNs: SECOND, maxDowntimeNs: SECOND - 1n })
      expect(destination.timers()).toEqual(before)
      const longEnough = { downtime, maxDowntimeNs: SECOND }
      expect(loadTimebase(destination.vcpus, saved, longEnough).downtimeNs).toBe(SECOND)
    },
  )

  it.each<[string, object]>([
    ['an unknown option', { aligned: true }],
    ['a wrong word', { downtime: 'frozen' }],
    ['a number for a bigint', { maxDowntimeNs: 5 }],
    ['a list of options', []],
  ])('refuses %s before any system call', (_what, options) => {
    const { source, destination } = movablePair()
    const saved = saveTimebase(source.vcpus)
    const { calls } = destination.kernel
    expect(() => loadTimebase(destination.vcpus, saved, options)).toThrow(TypeError)
    expect(destination.kernel.calls).toBe(calls)
  })

  it.each<[string, object]>([
    ['text', Object('{}') as object],
    ['a number for a bigint', { guestTimebase: 5 }],
    ['a time out of range', { timeOfDayNs: 2n ** 63n }],
    ['no vCPUs', { vcpus: undefined }],
    ['a hole among the vCPUs', { vcpus: new Array(1) }],
    ['a vCPU twice', { vcpus: [{ id: 1 }, { id: 1 }] }],
    ['a decrementer out of range', { vcpus: [{ id: 0, decExpiry: 2n ** 64n }] }],
  ])('refuses a state with %s before any system call', (_what, fields) => {
    const { source, destination } = movablePair()
    const good = saveTimebase(source.vcpus)
    const wrong = (fields instanceof String ? fields : { ...good, ...fields }) as TimebaseState
    const { calls } = destination.kernel
    const error = caught(Error, () => loadTimebase(destination.vcpus, wrong))
    expect(error).toMatchObject({
      code: expect.stringMatching(/^ERR_(INVALID_ARG|OUT_OF)/) as string,
    })
    expect(destination.kernel.calls).toBe(calls)
  })
})

describe('inheritTimebase', () => {
  it("gives a new vCPU the guest's timebase, and its decrementer the present", () => {
    const { time, source } = movablePair()
    const joining = source.vm.createVcpu(4)
    joining.write({ VTB: 1n, PURR: 2n, SPURR: 3n })
    time.pass(SECOND)
    const outcome = inheritTimebase(source.vcpu(0), joining)
    expect(outcome).toEqual({
      offset: GUEST_OFFSET,
      guestTimebase: u64(source.host.timebase() + GUEST_OFFSET),
    })
    expect(joining.read(['TB_OFFSET', 'DEC_EXPIRY', 'VTB', 'PURR', 'SPURR'])).toEqual({
      TB_OFFSET: GUEST_OFFSET,
      DEC_EXPIRY: outcome.guestTimebase,
      VTB: 1n,
      PURR: 2n,
      SPURR: 3n,
    })
    expect(() => saveTimebase([...source.vcpus, joining])).not.toThrow()
  })

  it('leaves the vCPU that it takes it from as it is', () => {
    const { source } = movablePair()
    const before = source.timers()
    inheritTimebase(source.vcpu(0), source.vm.createVcpu(9))
    expect(source.timers()).toEqual(before)
  })

  it('takes offset 0 as well', () => {
    const { source } = hostPair({ ids: [0, 1] })
    source.vcpu(1).set('TB_OFFSET', STEP)
    inheritTimebase(source.vcpu(0), source.vcpu(1))
    expect(source.vcpu(1).get('TB_OFFSET')).toBe(0n)
    expect(source.vcpu(1).get('DEC_EXPIRY')).toBe(source.host.timebase())
  })

  it.each([
    ['that it is taken from', 0],
    ['that joins', 1],
  ])('says so if the vCPU %s lacks TB_OFFSET', (_what, skip) => {
    const { source } = movablePair({ ids: [0] })
    const joining = source.vm.createVcpu(1)
    source.kernel.fail({ errno: 'EINVAL', register: 'TB_OFFSET', skip })
    const error = caught(OneRegError, () => inheritTimebase(source.vcpu(0), joining))
    expect(error.code).toBe('ERR_KVM_UNAVAILABLE')
    expect(error.message).toContain(`vCPU ${skip}`)
    expect(joining.read(['TB_OFFSET', 'DEC_EXPIRY'])).toEqual({ TB_OFFSET: 0n, DEC_EXPIRY: 0n })
  })

  it('works without DEC_EXPIRY', () => {
    const { source } = hostPair({ ids: [0, 1], source: { without: ['DEC_EXPIRY'] } })
    source.vcpu(0).set('TB_OFFSET', STEP)
    expect(inheritTimebase(source.vcpu(0), source.vcpu(1)).offset).toBe(STEP)
    expect(source.vcpu(1).get('TB_OFFSET')).toBe(STEP)
  })
})

describe('the diagnostics channel', () => {
  const messages: unknown[] = []
  const listen = (message: unknown): void => {
    messages.push(message)
  }

  beforeEach(() => {
    messages.length = 0
    subscribe('kvm-ppc-onereg:timebase-adjust', listen)
  })
  afterEach(() => {
    unsubscribe('kvm-ppc-onereg:timebase-adjust', listen)
  })

  it('has the name that the library exports', () => {
    expect(TIMEBASE_ADJUST_CHANNEL).toBe('kvm-ppc-onereg:timebase-adjust')
  })

  it('tells of a load: both offsets, the difference with its sign, in seconds too', () => {
    const { source, destination } = hostPair({
      source: { timebase: 0n },
      destination: { timebase: 100n * STEP },
    })
    source.setOffsets(10n * STEP)
    loadTimebase(destination.vcpus, saveTimebase(source.vcpus))
    expect(messages).toEqual([
      {
        oldOffset: 10n * STEP,
        newOffset: u64(-90n * STEP),
        difference: -100n * STEP,
        // 100 · 2^24 / 512 MHz
        seconds: -3.2768,
      },
    ])
  })

  it('tells of an offset that grows', () => {
    const { source, destination } = hostPair({
      source: { timebase: 100n * STEP },
      destination: { timebase: 0n },
    })
    source.setOffsets(u64(-STEP))
    loadTimebase(destination.vcpus, saveTimebase(source.vcpus))
    expect(messages).toEqual([
      {
        oldOffset: u64(-STEP),
        newOffset: 99n * STEP,
        difference: 100n * STEP,
        seconds: 3.2768,
      },
    ])
  })

  it('is silent when a load fails, and when one is refused', () => {
    const { time, source, destination } = movablePair()
    const saved = saveTimebase(source.vcpus)
    time.pass(SECOND)
    destination.kernel.fail({ errno: 'EIO', register: 'VTB', operation: 'KVM_SET_ONE_REG' })
    expect(() => loadTimebase(destination.vcpus, saved)).toThrow(TimebaseNotAppliedError)
    expect(() => loadTimebase(destination.vcpus, saved, { maxDowntimeNs: 0n })).toThrow(
      TimebaseDowntimeError,
    )
    expect(messages).toEqual([])
  })

  it('is silent for a save and for a vCPU that joins', () => {
    const { source } = movablePair()
    saveTimebase(source.vcpus)
    inheritTimebase(source.vcpu(0), source.vcpu(1))
    expect(messages).toEqual([])
  })
})

describe('a call that fails while the guest is saved', () => {
  it('is an error of the kernel, with vCPU and register', () => {
    const { source } = movablePair()
    source.kernel.fail({ errno: 'EIO', register: 'VTB', skip: 2 })
    const error = caught(KvmError, () => saveTimebase(source.vcpus))
    expect(error).toMatchObject({
      code: 'EIO',
      operation: 'KVM_GET_ONE_REG',
      register: 'VTB',
      vcpu: 2,
    })
    expect(error.message).toMatch(/another process/)
  })
})
