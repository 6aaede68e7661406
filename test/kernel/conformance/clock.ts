import { expect } from 'vitest'
import { errorOf } from '../../support/error-of.ts'
import type { Check, Rig } from './rig.ts'

const NS_PER_MS = 1_000_000n

export function checkClock(check: Check): void {
  check('count the timebase in ticks that fit into 64 bits, forwards', ({ kernel }) => {
    const first = kernel.timebase()
    let last = first
    for (let tries = 0; last === first && tries < 1_000_000; tries++) last = kernel.timebase()
    expect(first).toBe(BigInt.asUintN(64, first))
    expect(last).toBe(BigInt.asUintN(64, last))
    expect(BigInt.asIntN(64, last - first)).toBeGreaterThan(0n)
  })

  check('tell 512 MHz, the timebase of POWER', ({ kernel }) => {
    expect(kernel.timebaseFrequency()).toBe(512_000_000n)
  })

  check('sample the timebase between the reading before and the one after', (rig) => {
    const before = rig.kernel.timebase()
    const { timebase, halfWidth } = sample(rig)
    const after = rig.kernel.timebase()
    const whole = BigInt.asUintN(64, after - before)
    // The bracket of the sample lies between the two readings; an odd width is rounded up by a tick.
    expect(BigInt.asUintN(64, timebase - halfWidth + 1n - before)).toBeLessThanOrEqual(whole)
    expect(BigInt.asUintN(64, timebase + halfWidth - before)).toBeLessThanOrEqual(whole)
  })

  check('refuse to put a sample where it has no room', ({ kernel }) => {
    const wrong: [unknown, string][] = [
      [undefined, 'ERR_INVALID_ARG_TYPE'],
      [[0n, 0n, 0n], 'ERR_INVALID_ARG_TYPE'],
      [new BigInt64Array(3), 'ERR_INVALID_ARG_TYPE'],
      [new BigUint64Array(2), 'ERR_OUT_OF_RANGE'],
      [new BigUint64Array(4), 'ERR_OUT_OF_RANGE'],
    ]
    for (const [into, code] of wrong) {
      expect(errorOf(() => kernel.sample(into as never))).toMatchObject({ code })
    }
  })

  check('sample the wall clock, which is that of this process', (rig) => {
    const before = BigInt(Date.now()) * NS_PER_MS
    const { timeOfDayNs } = sample(rig)
    const after = BigInt(Date.now()) * NS_PER_MS
    // Date.now() is in whole ms, and the model starts from it.
    expect(timeOfDayNs).toBeGreaterThanOrEqual(before - 10n * NS_PER_MS)
    expect(timeOfDayNs).toBeLessThanOrEqual(after + 10n * NS_PER_MS)
  })

  check('tell how right the wall clock is', ({ kernel }) => {
    const into = new BigUint64Array(1).fill(2n ** 64n - 1n)
    const state = kernel.clockState?.(into)
    // TIME_OK to TIME_ERROR; the kernel's greatest error is that of a clock that is not synchronised.
    expect([0, 1, 2, 3, 4, 5]).toContain(state)
    expect(into[0]).toBeLessThanOrEqual(16_000_000n)
  })

  check('refuse to tell it where there is no room', ({ kernel }) => {
    for (const [into, code] of [
      [undefined, 'ERR_INVALID_ARG_TYPE'],
      [[0n], 'ERR_INVALID_ARG_TYPE'],
      [new BigUint64Array(0), 'ERR_OUT_OF_RANGE'],
      [new BigUint64Array(3), 'ERR_OUT_OF_RANGE'],
    ]) {
      expect(errorOf(() => kernel.clockState?.(into as never))).toMatchObject({ code })
    }
  })

  check('sample both so that they run on together', (rig) => {
    const first = sample(rig)
    let last = first
    for (let tries = 0; last.timebase === first.timebase && tries < 1_000_000; tries++) {
      last = sample(rig)
    }
    expect(BigInt.asIntN(64, last.timebase - first.timebase)).toBeGreaterThan(0n)
    expect(last.timeOfDayNs - first.timeOfDayNs).toBeGreaterThanOrEqual(0n)
  })
}

/** The three words of a sample, by name. */
function sample(rig: Rig): { timebase: bigint; timeOfDayNs: bigint; halfWidth: bigint } {
  const words = new BigUint64Array(3)
  expect(rig.kernel.sample(words)).toBe(0)
  const [timebase = 0n, timeOfDay = 0n, halfWidth = 0n] = words
  return { timebase, timeOfDayNs: BigInt.asIntN(64, timeOfDay), halfWidth }
}
