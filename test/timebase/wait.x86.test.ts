import { beforeEach, describe, expect, it, vi } from 'vitest'
import { OneRegError } from '../../lib/errors.ts'
import type { Host } from '../../lib/kvm/host.ts'
import { waitForTimebase } from '../../lib/timebase/wait.ts'

/** A clock that goes on by what is done; to read it is something, too. */
const clock = vi.hoisted(() => ({
  ms: 0,
  /** How long the event loop had to wait for its turn, at most. */
  held: 0,
  since: 0,
  timers: [] as number[],
  turns: 0,
  yieldFor(ms: number) {
    clock.held = Math.max(clock.held, clock.ms - clock.since)
    clock.ms += ms
    clock.since = clock.ms
  },
}))

/** Timers are late by so much. */
const LATE_MS = 1.5

/** So long others have the event loop. */
const TURN_MS = 0.37

// On the emulated host test files share their modules: there what is mocked would stay so for others.
vi.mock('node:timers/promises', () => ({
  setTimeout(ms: number) {
    clock.timers.push(ms)
    clock.yieldFor(ms + LATE_MS)
    return Promise.resolve()
  },
  setImmediate() {
    clock.turns++
    clock.yieldFor(TURN_MS)
    return Promise.resolve()
  },
}))

const READ_MS = 0.02
const TICKS_PER_MS = 512_000n

/** One with the timebase of that clock, or as the function has it. */
function host(timebase = (ticks: bigint) => ticks, closed = false): Host {
  return {
    closed,
    timebaseFrequency: TICKS_PER_MS * 1000n,
    timebase() {
      clock.ms += READ_MS
      return BigInt.asUintN(64, timebase(BigInt(Math.round(clock.ms * Number(TICKS_PER_MS)))))
    },
  } as unknown as Host
}

beforeEach(() => {
  Object.assign(clock, { ms: 0, held: 0, since: 0, timers: [], turns: 0 })
  vi.spyOn(performance, 'now').mockImplementation(() => clock.ms)
})

describe('waitForTimebase', () => {
  it.each([0.5, 3, 20, 3_500])('comes back in time after %d ms', async (ms) => {
    await waitForTimebase(host(), BigInt(Math.round(ms * Number(TICKS_PER_MS))))
    expect(clock.ms).toBeGreaterThanOrEqual(ms)
    expect(clock.ms).toBeLessThan(ms + 3 * READ_MS)
    expect(clock.held).toBeLessThan(1 + 3 * READ_MS)
  })

  it('sleeps for most of it, asks what time it is, and waits for the last millisecond', async () => {
    await waitForTimebase(host(), 3_500n * TICKS_PER_MS)
    expect(clock.timers).toHaveLength(4)
    expect(clock.timers.slice(0, 3)).toEqual([1000, 1000, 1000])
    // Less the lateness of the three before, and a margin for its own.
    expect(clock.timers[3]).toBeCloseTo(500 - 3 * LATE_MS - 4, 0)
    // Of those 4 ms the lateness is gone, and the last is waited for without a turn.
    expect(clock.turns).toBe(Math.ceil((4 - LATE_MS - 1) / (TURN_MS + READ_MS)))
  })

  it.each([0.5, 3, 20])(
    'only sleeps until after %d ms where threads wait for the instant',
    async (ms) => {
      await waitForTimebase(host(), BigInt(Math.round(ms * Number(TICKS_PER_MS))), false)
      expect(clock.timers).toEqual([expect.closeTo(ms + 2, 1)])
      expect(clock.turns).toBe(0)
      expect(clock.held).toBeLessThan(3 * READ_MS)
    },
  )

  it('ends at the very tick, also if the timebase goes no further', async () => {
    const wanted = 2n * TICKS_PER_MS
    await waitForTimebase(
      host((ticks) => (ticks < wanted ? ticks : wanted)),
      wanted,
    )
    expect(clock.ms).toBeLessThan(2 + 3 * READ_MS)
  })

  it('does nothing if it has come already', async () => {
    await waitForTimebase(host(), 0n)
    await waitForTimebase(
      host((ticks) => ticks - 1n),
      -1n & 0xffff_ffff_ffff_ffffn,
    )
    expect({ timers: clock.timers, turns: clock.turns }).toEqual({ timers: [], turns: 0 })
  })

  it('counts on where the timebase wraps', async () => {
    const wanted = 5n * TICKS_PER_MS
    await waitForTimebase(
      host((ticks) => ticks - wanted),
      wanted,
    )
    expect(clock.ms).toBeGreaterThanOrEqual(10)
    expect(clock.ms).toBeLessThan(10 + 3 * READ_MS)
  })

  it.each([
    ['stands still', () => 0n, 2_000],
    ['goes back', (ticks: bigint) => -ticks, undefined],
    ['stands still at the last tick', () => 2_000n * TICKS_PER_MS - 1n, undefined],
  ])(
    'gives up on a timebase that %s, ten seconds late',
    async (_what, timebase, behind) => {
      const wanted = 2_000n * TICKS_PER_MS
      const left = Number(wanted - timebase(0n)) / Number(TICKS_PER_MS)
      const error: unknown = await waitForTimebase(host(timebase), wanted).catch(
        (error: unknown) => error,
      )
      expect(error).toMatchObject({ code: 'ERR_TIMEBASE_NOT_REACHED' })
      expect((error as Error).message).toMatch(/in time: it is [\d.]+ ms behind\. Do not run/)
      if (behind !== undefined) expect((error as Error).message).toContain(`is ${behind} ms behind`)
      expect(Object.hasOwn(error as Error, 'cause')).toBe(false)
      clock.yieldFor(0)
      expect(clock.ms).toBeGreaterThan(left + 10_000)
      expect(clock.ms).toBeLessThan(left + 11_100)
      expect(clock.held).toBeLessThan(1 + 3 * READ_MS)
      // It asks half a million times.
    },
    60_000,
  )

  it('says that the host was closed meanwhile', async () => {
    const closed = new OneRegError('ERR_KVM_CLOSED', 'The host is closed')
    const closing = host(() => {
      throw closed
    }, true)
    await expect(waitForTimebase(closing, 1n)).rejects.toBe(closed)
  })

  it('says why the timebase cannot be read', async () => {
    const cause = new Error('no mftb')
    const broken = host(() => {
      throw cause
    })
    await expect(waitForTimebase(broken, 1n)).rejects.toMatchObject({
      code: 'ERR_TIMEBASE_NOT_REACHED',
      message: expect.stringContaining('no mftb') as string,
      cause,
    })
  })
})
