import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { loadTimebase } from '../../lib/timebase/load.ts'
import { saveTimebase } from '../../lib/timebase/save.ts'
import type { TimebaseState } from '../../lib/timebase/state.ts'
import {
  cpuTimebase,
  cpuTimebaseToState,
  decode,
  encode,
  qemuTimebaseToState,
  stateToCpuTimebase,
  stateToQemuTimebase,
  timebase,
  VmstateError,
} from '../../lib/vmstate/index.ts'
import { caught } from '../support/caught.ts'
import { hostPair, STEP, SECOND } from '../support/host-pair.ts'

const U64 = 1n << 64n

const u64 = fc.bigInt({ min: 0n, max: U64 - 1n })
const i64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })

const state: TimebaseState = {
  guestTimebase: 5n,
  timeOfDayNs: 1_378_199_251_123_456_789n,
  timebaseFrequency: 512_000_000n,
  uncertaintyNs: 40n,
  offset: U64 - STEP,
  roundingTicks: 3n,
  vcpus: [{ id: 0, decExpiry: 9n }],
}

const timers = { uncertaintyNs: 1_000n, vcpus: [{ id: 0, decExpiry: 9n }] }

describe("a state in the patch's format", () => {
  it('is the host timebase, the offset, and the time in µs, rounded down', () => {
    expect(stateToCpuTimebase(state)).toStrictEqual({
      timebase: STEP + 5n,
      tb_offset: -STEP,
      time_of_the_day: 1_378_199_251_123_456n,
      tb_freq: 512_000_000,
    })
  })

  it('comes back but for what the format has not, which the caller adds', () => {
    expect(cpuTimebaseToState(stateToCpuTimebase(state), timers)).toStrictEqual({
      guestTimebase: 5n,
      timeOfDayNs: 1_378_199_251_123_456_000n,
      timebaseFrequency: 512_000_000n,
      offset: U64 - STEP,
      ...timers,
    })
  })

  it('keeps the guest timebase, the offset and the frequency, whatever they are', () => {
    const states = fc.record({
      guestTimebase: u64,
      offset: u64,
      timeOfDayNs: fc.bigInt({ min: 0n, max: 2n ** 63n - 1n }),
      timebaseFrequency: fc.bigInt({ min: 1n, max: 2n ** 32n - 1n }),
    })
    fc.assert(
      fc.property(states, (given) => {
        const bytes = encode(cpuTimebase, stateToCpuTimebase({ ...given, ...timers }))
        const destination = { tb_freq: Number(given.timebaseFrequency) }
        const back = cpuTimebaseToState(decode(cpuTimebase, bytes, { destination }), timers)
        const timeOfDayNs = given.timeOfDayNs - (given.timeOfDayNs % 1000n)
        expect(back).toStrictEqual({ ...given, ...timers, timeOfDayNs })
      }),
    )
  })

  it('has no room for a time before 1970, nor for a frequency of more than 32 bits', () => {
    expect(() => stateToCpuTimebase({ ...state, timeOfDayNs: -1n })).toThrow(RangeError)
    expect(() => stateToCpuTimebase({ ...state, timebaseFrequency: 1n << 32n })).toThrow(RangeError)
  })

  it('is refused with a time that ns have no room for, or without a frequency', () => {
    const fields = stateToCpuTimebase(state)
    const latest = (2n ** 63n - 1n) / 1000n
    const late = { ...fields, time_of_the_day: latest + 1n }
    expect(caught(VmstateError, () => cpuTimebaseToState(late, timers)).message).toMatch(
      /time_of_the_day is 9223372036854776 µs/,
    )
    expect(cpuTimebaseToState({ ...fields, time_of_the_day: latest }, timers).timeOfDayNs).toBe(
      latest * 1000n,
    )
    expect(() => cpuTimebaseToState({ ...fields, tb_freq: 0 }, timers)).toThrow(VmstateError)
  })
})

describe("a state in QEMU's format", () => {
  const beyond = { ...timers, timebaseFrequency: 512_000_000n, offset: STEP }

  it('is the guest timebase and the time', () => {
    expect(stateToQemuTimebase(state)).toStrictEqual({
      guest_timebase: 5n,
      time_of_the_day_ns: 1_378_199_251_123_456_789n,
    })
  })

  it('comes back, whatever it is, with what the caller adds', () => {
    fc.assert(
      fc.property(u64, i64, (guestTimebase, timeOfDayNs) => {
        const bytes = encode(
          timebase,
          stateToQemuTimebase({ ...beyond, guestTimebase, timeOfDayNs }),
        )
        expect(qemuTimebaseToState(decode(timebase, bytes), beyond)).toStrictEqual({
          guestTimebase,
          timeOfDayNs,
          ...beyond,
        })
      }),
    )
  })

  it('comes from a stream by the names that its reader gives', () => {
    const read = { guestTimebase: 7n, timeOfDayNs: 8n, machine: 'pseries-7.2' }
    expect(qemuTimebaseToState(read, beyond)).toStrictEqual({
      guestTimebase: 7n,
      timeOfDayNs: 8n,
      ...beyond,
    })
  })

  it('is one step ahead for a guest that was stopped, modulo 2^64', () => {
    const stopped = { ...beyond, guestWasStopped: true }
    const at = (guestTimebase: bigint, options: typeof beyond) =>
      qemuTimebaseToState({ guestTimebase, timeOfDayNs: 0n }, options).guestTimebase
    expect(at(7n, stopped)).toBe(7n + STEP)
    expect(at(U64 - 1n, stopped)).toBe(STEP - 1n)
    expect(at(7n, { ...beyond, guestWasStopped: false } as typeof beyond)).toBe(7n)
  })
})

describe('what a format does not carry', () => {
  const qemu = { guestTimebase: 1n, timeOfDayNs: 2n }
  const all = { ...timers, timebaseFrequency: 512_000_000n, offset: 0n }

  it.each(['timebaseFrequency', 'uncertaintyNs', 'offset', 'vcpus'])(
    'is never guessed: %s',
    (field) => {
      const partial = { ...all, [field]: undefined }
      expect(() => qemuTimebaseToState(qemu, partial)).toThrow(
        new RegExp(`state\\.${field} must be`),
      )
      expect(() => qemuTimebaseToState(qemu, partial)).toThrow(TypeError)
    },
  )

  it.each(['uncertaintyNs', 'vcpus'])('is never guessed for cpu/timebase: %s', (field) => {
    const partial = { ...timers, [field]: undefined }
    expect(() => cpuTimebaseToState(stateToCpuTimebase(state), partial)).toThrow(TypeError)
  })

  it('is checked like any state', () => {
    expect(() => qemuTimebaseToState(qemu, { ...all, timebaseFrequency: 0n })).toThrow(RangeError)
    expect(() => qemuTimebaseToState(qemu, { ...all, frequency: 1n } as never)).toThrow(TypeError)
    expect(() => qemuTimebaseToState(qemu, { ...all, guestWasStopped: 1 } as never)).toThrow(
      TypeError,
    )
    expect(() => qemuTimebaseToState(null as never, all)).toThrow(TypeError)
    expect(() => qemuTimebaseToState({ guestTimebase: 1, timeOfDayNs: 2n } as never, all)).toThrow(
      'state.guestTimebase must be a bigint',
    )
    expect(() => cpuTimebaseToState(null as never, timers)).toThrow(
      'cpu/timebase must be an object',
    )
    expect(() => cpuTimebaseToState({ timebase: 1 } as never, timers)).toThrow(
      'cpu/timebase.timebase must be a bigint',
    )
    expect(() => stateToQemuTimebase({} as never)).toThrow(TypeError)
  })
})

describe('a guest', () => {
  it("goes on at another host with what cpu/timebase carries, as with the library's own state", () => {
    const { source, destination, time } = hostPair({ ids: [0, 1] })
    source.setOffsets(3n * STEP)
    const [before = 0n] = source.guestTimebases()
    const bytes = encode(cpuTimebase, stateToCpuTimebase(saveTimebase(source.vcpus)))
    time.pass(SECOND)
    const read = decode(cpuTimebase, bytes, { destination: { tb_freq: 512_000_000 } })
    const outcome = loadTimebase(
      destination.vcpus,
      cpuTimebaseToState(read, { uncertaintyNs: 1_000n, vcpus: [] }),
    )
    const late = outcome.guestTimebase - (before + 512_000_000n)
    expect(late >= -STEP / 2n && late <= STEP / 2n).toBe(true)
    expect(destination.guestTimebases()).toStrictEqual([
      outcome.guestTimebase,
      outcome.guestTimebase,
    ])
  })

  it('never goes back from what QEMU says, and with guestWasStopped not from 2^24 more', () => {
    const { destination } = hostPair({ ids: [0] })
    const beyond = { ...timers, vcpus: [], timebaseFrequency: 512_000_000n, offset: 0n }
    const stopped = { guestTimebase: 77n, timeOfDayNs: 1_700_000_000n * SECOND }
    for (const guestWasStopped of [false, true]) {
      const saved = qemuTimebaseToState(stopped, { ...beyond, guestWasStopped })
      const { guestTimebase } = loadTimebase(destination.vcpus, saved, { downtime: 'freeze' })
      expect(guestTimebase - 77n).toBeGreaterThanOrEqual(guestWasStopped ? STEP : 0n)
      expect(guestTimebase - 77n).toBeLessThan(guestWasStopped ? 2n * STEP : STEP)
    }
  })
})
