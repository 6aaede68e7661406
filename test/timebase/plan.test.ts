import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  TimebaseClockError,
  TimebaseDowntimeError,
  TimebaseFrequencyError,
} from '../../lib/errors.ts'
import { nextAligned, planTimebase, TIMEBASE_OFFSET_STEP } from '../../lib/timebase/plan.ts'
import type { PlanOptions, TimebasePoint } from '../../lib/timebase/plan.ts'
import type { TimebaseSample } from '../../lib/kvm/sample.ts'
import { caught } from '../support/caught.ts'
import { cases } from '../support/emulated.ts'

const STEP = 16_777_216n
const HALF = 8_388_608n

const SECOND = 1_000_000_000n
const MHZ_512 = 512_000_000n

const u64 = (value: bigint): bigint => BigInt.asUintN(64, value)
const i64 = (value: bigint): bigint => BigInt.asIntN(64, value)

interface Move {
  readonly guestTimebase: bigint
  readonly hostTimebase: bigint
  readonly savedAt: bigint
  /** By the two wall clocks, in ns: below 0 where the second is behind the first. */
  readonly passedNs: bigint
  readonly frequency: bigint
  /** The rounding error that the guest has had since an earlier move, in ticks. */
  readonly carried?: bigint
}

function planOf(move: Move, options: PlanOptions) {
  return planTimebase(
    {
      guestTimebase: move.guestTimebase,
      timeOfDayNs: move.savedAt,
      timebaseFrequency: move.frequency,
      uncertaintyNs: 3n,
      ...(move.carried !== undefined && { roundingTicks: move.carried }),
    },
    {
      timebase: move.hostTimebase,
      timeOfDayNs: move.savedAt + move.passedNs,
      timebaseFrequency: move.frequency,
      uncertaintyNs: 4n,
    },
    options,
  )
}

/** Whole ticks in some ns: those of the whole seconds, and those of the rest. */
function ticksIn(ns: bigint, frequency: bigint): bigint {
  return (ns / SECOND) * frequency + ((ns % SECOND) * frequency) / SECOND
}

/** The ticks that passed for the guest. */
function passedTicks({ passedNs, frequency }: Move, downtime: string): bigint {
  return downtime === 'advance' && passedNs > 0n ? ticksIn(passedNs, frequency) : 0n
}

/** How far the guest's timebase should go on: an earlier error is made good, if it is not frozen. */
function wantedAdvance(move: Move, downtime: string): bigint {
  return downtime === 'advance' ? passedTicks(move, downtime) - (move.carried ?? 0n) : 0n
}

/**
 * The rule in the words of the design: of the multiples of 2^24 with which the guest is not behind,
 * the next one from the wanted offset on (`up`), or the nearest to it (`nearest`; the higher of two
 * that are equally near). Nothing wraps here; only the answer is taken modulo 2^64.
 */
function byTheRule(move: Move, { downtime = 'advance', rounding = 'nearest' }: PlanOptions) {
  const standstill = move.guestTimebase - move.hostTimebase
  const wanted = standstill + wantedAdvance(move, downtime)
  const multiples = [wanted, standstill].flatMap((about) =>
    [2n, 1n, 0n, -1n, -2n].map((step) => (about / STEP + step) * STEP),
  )
  const distance = (multiple: bigint): bigint =>
    multiple > wanted ? multiple - wanted : wanted - multiple
  const isNearer = (a: bigint, b: bigint): boolean =>
    distance(a) < distance(b) || (distance(a) === distance(b) && a > b)
  const allowed = multiples.filter(
    (multiple) => multiple >= standstill && (rounding === 'nearest' || multiple >= wanted),
  )
  const chosen = allowed.reduce((best, next) => (isNearer(next, best) ? next : best))
  return { offset: u64(chosen), advancedTicks: chosen - standstill }
}

const lesser = (one: bigint, other: bigint): bigint => (one < other ? one : other)

/** What must hold for every plan, each said on its own: the broken promises. */
function brokenPromises(move: Move, options: PlanOptions): string[] {
  const { downtime = 'advance', rounding = 'nearest' } = options
  const plan = planOf(move, options)
  const rule = byTheRule(move, options)
  const wanted = wantedAdvance(move, downtime)
  // As a signed difference of 64 bits, the way a guest sees it.
  const advance = i64(plan.guestTimebase - move.guestTimebase)
  const error = advance - wanted
  const oneStepLessIsBehind = advance < STEP
  const promises: Record<string, boolean> = {
    'the offset is that of the rule': plan.offset === rule.offset,
    'the advance is that of the rule': plan.advancedTicks === rule.advancedTicks,
    'the offset is a multiple of 2^24': plan.offset % STEP === 0n,
    'the offset is a u64': plan.offset === u64(plan.offset),
    'the guest reads the host plus the offset':
      plan.guestTimebase === u64(move.hostTimebase + plan.offset),
    'the guest does not go back': advance >= 0n,
    'advancedTicks is what the guest sees': plan.advancedTicks === advance,
    'roundingTicks is the error of all moves':
      plan.roundingTicks ===
      lesser(2n ** 40n, advance - passedTicks(move, downtime) + (move.carried ?? 0n)),
    'up is not behind': rounding === 'nearest' || error >= 0n,
    'up is less than a step ahead': rounding === 'nearest' || error < STEP || oneStepLessIsBehind,
    'nearest is half a step behind at most': error >= -HALF,
    'nearest is half a step ahead at most, unless the guest would go back':
      rounding === 'up' || error <= HALF || oneStepLessIsBehind,
    'a guest that was not ahead comes out less than a step ahead':
      (move.carried ?? 0n) > 0n || error < STEP,
    'the downtime is that of the clocks':
      plan.downtimeNs === (move.passedNs > 0n ? move.passedNs : 0n),
    'the uncertainties add up': plan.uncertaintyNs === 7n,
  }
  return Object.keys(promises).filter((promise) => promises[promise] === false)
}

const anyU64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n })

const guestTimebases = fc.oneof(
  anyU64,
  fc.bigInt({ min: 0n, max: STEP }),
  fc.bigInt({ min: 2n ** 64n - STEP, max: 2n ** 64n - 1n }),
  fc.bigInt({ min: 2n ** 63n - STEP, max: 2n ** 63n + STEP }),
)

/** From ns to 36 years, and steps back. */
const deltas = fc.oneof(
  fc.bigInt({ min: 0n, max: 1_000n }),
  fc.bigInt({ min: 0n, max: 100_000_000n }),
  fc.bigInt({ min: 0n, max: 3_600n * SECOND }),
  fc.bigInt({ min: 0n, max: 2n ** 60n }),
  fc.bigInt({ min: -(2n ** 60n), max: -1n }),
  fc.bigInt({ min: -1_000n, max: 1n }),
)

/** What earlier moves left: mostly nothing, or less than a step; now and then more. */
const carriedErrors = fc.oneof(
  { weight: 3, arbitrary: fc.constant(undefined) },
  { weight: 2, arbitrary: fc.bigInt({ min: -HALF, max: HALF }) },
  { weight: 1, arbitrary: fc.bigInt({ min: -STEP, max: STEP }) },
  { weight: 1, arbitrary: fc.bigInt({ min: -STEP, max: 2n ** 40n }) },
)

/** How far the wanted offset lies from a multiple: anywhere, or where the choice changes. */
const deviations = fc.option(
  fc.oneof(
    fc.bigInt({ min: -3n, max: 3n }),
    fc.bigInt({ min: HALF - 3n, max: HALF + 3n }),
    fc.bigInt({ min: 0n, max: STEP - 1n }),
  ),
)

function moves(frequencies: fc.Arbitrary<bigint>): fc.Arbitrary<[Move, PlanOptions]> {
  return fc
    .record({
      guestTimebase: guestTimebases,
      hostTimebase: fc.oneof(anyU64, fc.bigInt({ min: 0n, max: STEP })),
      savedAt: fc.bigInt({ min: -(2n ** 62n), max: 2n ** 62n }),
      passedNs: deltas,
      frequency: frequencies,
      carried: carriedErrors,
      deviation: deviations,
      downtime: fc.constantFrom('advance', 'freeze'),
      rounding: fc.constantFrom('nearest', 'up'),
    })
    .map(({ deviation, downtime, rounding, carried, ...bare }) => {
      const move = carried === undefined ? bare : { ...bare, carried }
      if (deviation === null) return [move, { downtime, rounding }]
      // A host whose timebase makes the wanted offset a multiple of 2^24, but for the deviation.
      const wanted = u64(move.hostTimebase * STEP + deviation)
      const hostTimebase = u64(move.guestTimebase + wantedAdvance(move, downtime) - wanted)
      return [
        { ...move, hostTimebase },
        { downtime, rounding },
      ]
    })
}

describe('planTimebase on random moves', () => {
  it.each<[string, fc.Arbitrary<bigint>]>([
    ['512 MHz', fc.constant(MHZ_512)],
    ['33.333333 MHz', fc.constant(33_333_333n)],
    ['1 Hz', fc.constant(1n)],
    ['2^32 - 1 Hz', fc.constant(2n ** 32n - 1n)],
    ['any frequency of 32 bits', fc.bigInt({ min: 1n, max: 2n ** 32n - 1n })],
  ])('keeps every promise at %s', { timeout: 300_000 }, (_what, frequencies) => {
    fc.assert(
      fc.property(moves(frequencies), ([move, options]) => {
        const broken = brokenPromises(move, options)
        if (broken.length > 0) throw new Error(`Not so: ${broken.join('; ')}`)
      }),
      { numRuns: cases(25_000) },
    )
  })

  it('keeps every promise at frequencies of 64 bits', { timeout: 60_000 }, () => {
    fc.assert(
      fc.property(
        // 1 s is less than 2^63 ticks.
        moves(fc.bigInt({ min: 2n ** 32n, max: 2n ** 63n - 2n ** 41n })),
        fc.bigInt({ min: -SECOND, max: SECOND }),
        ([move, options], passedNs) => {
          expect(brokenPromises({ ...move, passedNs }, options)).toEqual([])
        },
      ),
      { numRuns: cases(2_000) },
    )
  })
})

/**
 * cpu_ppc_adjust_tb_offset of the QEMU patch of 2013, in C's types: `int ratio`, all else uint64_t;
 * ROUND_UP(n, d) is ((n) + (d) - 1) & -(d), where -(1 << 24) is an int that is sign-extended.
 */
function adjustTbOffset(c: {
  timebase: bigint
  tbOffset: bigint
  tod1: bigint
  tb2: bigint
  tod2: bigint
  tbFreq: bigint
}): bigint {
  const ratio = BigInt.asIntN(32, c.tbFreq / 1_000_000n)
  let off2 = u64(u64(c.timebase - c.tb2) + u64(c.tbOffset))
  if (c.tod2 > c.tod1) {
    off2 = u64(off2 + u64(u64(c.tod2 - c.tod1) * u64(ratio)))
  }
  const d = BigInt.asIntN(32, 1n << 24n)
  return u64(u64(off2 + u64(d)) - 1n) & u64(-d)
}

describe('planTimebase as the seed', () => {
  it('gives what the C expression gives, bit for bit', { timeout: 60_000 }, () => {
    const microseconds = fc.oneof(
      fc.bigInt({ min: 0n, max: 2n ** 63n / 1_000n - 1n }),
      fc.bigInt({ min: 1_700_000_000_000_000n, max: 1_700_000_060_000_000n }),
    )
    fc.assert(
      fc.property(
        fc.record({
          timebase: anyU64,
          tbOffset: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
          tod1: microseconds,
          tb2: anyU64,
          tod2: microseconds,
        }),
        (c) => {
          const plan = planTimebase(
            {
              guestTimebase: u64(c.timebase + c.tbOffset),
              timeOfDayNs: c.tod1 * 1_000n,
              timebaseFrequency: MHZ_512,
              uncertaintyNs: 0n,
            },
            {
              timebase: c.tb2,
              timeOfDayNs: c.tod2 * 1_000n,
              timebaseFrequency: MHZ_512,
              uncertaintyNs: 0n,
            },
            { downtime: 'advance', rounding: 'up' },
          )
          return plan.offset === adjustTbOffset({ ...c, tbFreq: MHZ_512 })
        },
      ),
      { numRuns: cases(20_000) },
    )
  })

  it('counts 33.333333 MHz over an hour exactly, where whole MHz lose 36 s', () => {
    const hour = {
      guestTimebase: 0n,
      hostTimebase: 0n,
      savedAt: 0n,
      passedNs: 3_600n * SECOND,
      frequency: 33_333_333n,
    }
    const plan = planOf(hour, { rounding: 'up' })
    expect(plan.advancedTicks - plan.roundingTicks).toBe(119_999_998_800n)
    expect(plan.offset).toBe(7_153n * STEP)
    const c = { timebase: 0n, tbOffset: 0n, tod1: 0n, tb2: 0n }
    const seed = adjustTbOffset({ ...c, tod2: 3_600_000_000n, tbFreq: 33_333_333n })
    expect(plan.offset - seed).toBeGreaterThan(35n * 33_333_333n)
  })
})

describe('planTimebase by hand', () => {
  const back = { passedNs: -5n * SECOND }

  it.each<[string, Partial<Move>, PlanOptions, [bigint, bigint, bigint, bigint]]>([
    // what, move, options, [offset, guestTimebase, advancedTicks, roundingTicks]
    ['takes a multiple as it is', { guestTimebase: STEP }, {}, [STEP, STEP, 0n, 0n]],
    [
      'rounds up where the guest was frozen',
      { guestTimebase: 1_000n, hostTimebase: 400n, passedNs: SECOND },
      { downtime: 'freeze' },
      [16_777_216n, 16_777_616n, 16_776_616n, 16_776_616n],
    ],
    [
      'adds a second at 512 MHz and takes the nearest multiple, which is below',
      { guestTimebase: 10_000_000_000n, hostTimebase: 2_000_000_000n, passedNs: SECOND },
      {},
      [8_506_048_512n, 10_506_048_512n, 506_048_512n, -5_951_488n],
    ],
    [
      'adds a second at 512 MHz and takes the next multiple',
      { guestTimebase: 10_000_000_000n, hostTimebase: 2_000_000_000n, passedNs: SECOND },
      { rounding: 'up' },
      [8_522_825_728n, 10_522_825_728n, 522_825_728n, 10_825_728n],
    ],
    [
      'goes below 0 on a host that has been up for longer than the guest',
      { guestTimebase: 1_000n, hostTimebase: 1_099_511_627_776n },
      {},
      [18_446_742_974_214_701_056n, 16_777_216n, 16_776_216n, 16_776_216n],
    ],
    [
      'wraps at 2^64',
      { guestTimebase: 18_446_744_073_709_551_615n },
      { downtime: 'freeze' },
      [0n, 0n, 1n, 1n],
    ],
    [
      'stays where it is if the clock stepped back',
      { guestTimebase: 3n * STEP, ...back },
      {},
      [3n * STEP, 3n * STEP, 0n, 0n],
    ],
    [
      'rounds up if the clock stepped back and the offset is no multiple',
      { guestTimebase: 3n * STEP + 1n, ...back },
      {},
      [4n * STEP, 4n * STEP, 16_777_215n, 16_777_215n],
    ],
    [
      'does not take the nearest multiple where the guest would go back',
      { guestTimebase: 100n, passedNs: 10n },
      {},
      [16_777_216n, 16_777_216n, 16_777_116n, 16_777_111n],
    ],
    [
      'takes the nearest multiple where the guest stands still',
      { passedNs: 16_383_999n },
      {},
      [0n, 0n, 0n, -8_388_607n],
    ],
    [
      'takes the higher of two that are equally near',
      { passedNs: 16_384_000n },
      {},
      [16_777_216n, 16_777_216n, 16_777_216n, 8_388_608n],
    ],
  ])('%s', (_what, move, options, [offset, guestTimebase, advancedTicks, roundingTicks]) => {
    const still = {
      guestTimebase: 0n,
      hostTimebase: 0n,
      savedAt: 0n,
      passedNs: 0n,
      frequency: MHZ_512,
    }
    const plan = planOf({ ...still, ...move }, options)
    expect(plan).toMatchObject({ offset, guestTimebase, advancedTicks, roundingTicks })
  })

  it.each<[string, Partial<Move>, PlanOptions, bigint, bigint]>([
    // what, move, options, advancedTicks, roundingTicks
    ['lets the guest stand still while it is ahead', { carried: STEP }, {}, 0n, STEP],
    ['takes off what it is ahead', { passedNs: 131_072_000n, carried: 3n * STEP }, {}, STEP, 0n],
    ['takes off what fits', { passedNs: 65_536_000n, carried: 3n * STEP }, {}, 0n, STEP],
    ['adds what it is behind', { carried: -HALF }, {}, STEP, HALF],
    ['adds what it is behind, up', { carried: -1n }, { rounding: 'up' }, STEP, STEP - 1n],
    ['adds nothing for less than half a step', { carried: 1n - HALF }, {}, 0n, 1n - HALF],
    [
      'does not touch a frozen guest, and keeps the error in mind',
      { passedNs: SECOND, carried: -STEP },
      { downtime: 'freeze' },
      0n,
      -STEP,
    ],
  ])('%s', (_what, move, options, advancedTicks, roundingTicks) => {
    const still = {
      guestTimebase: 5n * STEP,
      hostTimebase: 0n,
      savedAt: 0n,
      passedNs: 0n,
      frequency: MHZ_512,
    }
    const plan = planOf({ ...still, ...move }, options)
    expect(plan).toMatchObject({ advancedTicks, roundingTicks })
  })

  it('advances and takes the nearest offset by default', () => {
    const move = {
      guestTimebase: 10_000_000_000n,
      hostTimebase: 2_000_000_000n,
      savedAt: 0n,
      passedNs: SECOND,
      frequency: MHZ_512,
    }
    const told = planOf(move, { downtime: 'advance', rounding: 'nearest' })
    expect(planOf(move, {})).toEqual(told)
    expect(planOf(move, { downtime: 'freeze' })).not.toEqual(told)
    expect(planOf(move, { rounding: 'up' })).not.toEqual(told)
  })

  it('names the step of the offset', () => {
    expect(TIMEBASE_OFFSET_STEP).toBe(STEP)
  })
})

describe('maxDowntimeNs', () => {
  const still = { guestTimebase: 5n * STEP, hostTimebase: 0n, savedAt: 0n, frequency: MHZ_512 }

  it.each(['nearest', 'up'] as const)(
    'bounds what the guest sees to itself and a step, with an error to be made good and %s',
    (rounding) => {
      for (const carried of [-STEP, -HALF, 0n]) {
        for (const passedNs of [0n, 1_000_000n, 10_000_000n]) {
          const options = { rounding, maxDowntimeNs: 10_000_000n }
          for (const hostTimebase of [0n, 1n, STEP - 1n]) {
            const plan = planOf({ ...still, hostTimebase, passedNs, carried }, options)
            expect(plan.advancedTicks).toBeGreaterThanOrEqual(0n)
            expect(plan.advancedTicks).toBeLessThan(5_120_000n + STEP)
            const error = plan.advancedTicks - (passedNs * MHZ_512) / SECOND + carried
            expect(plan.roundingTicks).toBe(error)
          }
        }
      }
    },
  )
})

describe('the rounding error of many loads that freeze', () => {
  it('is remembered up to 2^40 ticks, and can be loaded again', () => {
    const frozen = { downtime: 'freeze' } as const
    const move = {
      guestTimebase: 1n,
      hostTimebase: 0n,
      savedAt: 0n,
      frequency: MHZ_512,
      passedNs: 0n,
    }
    const plan = planOf({ ...move, carried: 2n ** 40n - 5n }, frozen)
    expect(plan.advancedTicks).toBe(STEP - 1n)
    expect(plan.roundingTicks).toBe(2n ** 40n)
    expect(planOf({ ...move, carried: plan.roundingTicks }, frozen).roundingTicks).toBe(2n ** 40n)
  })
})

describe('an advance that a guest would see as a step back', () => {
  const still = { guestTimebase: 0n, hostTimebase: 0n, savedAt: 0n, frequency: SECOND }

  // 2^63 ticks ahead is 2^63 behind as a signed difference: 68 years at 2^32 - 1 Hz, as from a host
  // whose clock stands at the epoch.
  it.each<[string, Partial<Move> & { readonly passedNs: bigint }, PlanOptions]>([
    [
      '69 years at 2^32 - 1 Hz',
      { frequency: 2n ** 32n - 1n, passedNs: 69n * 31_557_600n * SECOND },
      {},
    ],
    [
      '69 years at 2^32 - 1 Hz, up',
      { frequency: 2n ** 32n - 1n, passedNs: 69n * 31_557_600n * SECOND },
      { rounding: 'up' },
    ],
    [
      '2 s at 2^63 Hz, which is no step at all',
      { frequency: 2n ** 63n, passedNs: 2n * SECOND },
      {},
    ],
    ['2^63 - 1 ticks, which rounding makes 2^63', { passedNs: 2n ** 63n - 1n }, {}],
    ['the next multiple, up', { passedNs: 2n ** 63n - STEP + 1n }, { rounding: 'up' }],
    ['less, with an error to be made good', { passedNs: 2n ** 63n - STEP, carried: -STEP }, {}],
  ])('is refused: %s', (_what, move, options) => {
    const error = caught(TimebaseDowntimeError, () => planOf({ ...still, ...move }, options))
    expect(error).toMatchObject({ code: 'ERR_TIMEBASE_DOWNTIME', downtimeNs: move.passedNs })
    expect(error).not.toHaveProperty('maxDowntimeNs')
    const limited = { ...options, maxDowntimeNs: 2n ** 64n - 1n }
    expect(
      caught(TimebaseDowntimeError, () => planOf({ ...still, ...move }, limited)),
    ).toMatchObject({ downtimeNs: move.passedNs })
  })

  it('is the first that is refused', () => {
    const passedNs = 2n ** 63n - STEP
    for (const rounding of ['nearest', 'up'] as const) {
      expect(planOf({ ...still, passedNs }, { rounding }).advancedTicks).toBe(passedNs)
    }
    const frozen = planOf({ ...still, passedNs: 2n ** 63n - 1n }, { downtime: 'freeze' })
    expect(frozen.advancedTicks).toBe(0n)
  })
})

/** A guest that is moved around a ring of hosts, by what their kernels would hold. */
class Traveller {
  readonly #origins: readonly bigint[]
  readonly #options: PlanOptions
  #now = 0n
  #place = 0
  #roundingTicks = 0n
  offset = 0n

  constructor(origins: readonly bigint[], options: PlanOptions) {
    this.#origins = origins
    this.#options = options
  }

  /** What the guest reads now. */
  get guestTimebase(): bigint {
    return u64(this.#hostTimebase + this.offset)
  }

  /** How far the guest is ahead of true time, in ticks. */
  get error(): bigint {
    const [origin = 0n] = this.#origins
    return i64(this.guestTimebase - u64(origin + ticksIn(this.#now, MHZ_512)))
  }

  move(passedNs: bigint): void {
    const state = {
      guestTimebase: this.guestTimebase,
      roundingTicks: this.#roundingTicks,
      ...this.#clock,
    }
    this.#now += passedNs
    this.#place = (this.#place + 1) % this.#origins.length
    const sample = { timebase: this.#hostTimebase, ...this.#clock }
    const { offset, roundingTicks } = planTimebase(state, sample, this.#options)
    this.offset = offset
    this.#roundingTicks = roundingTicks
  }

  get #hostTimebase(): bigint {
    return u64((this.#origins[this.#place] ?? 0n) + ticksIn(this.#now, MHZ_512))
  }

  get #clock() {
    return { timeOfDayNs: this.#now, timebaseFrequency: MHZ_512, uncertaintyNs: 0n }
  }
}

/** The lowest and the highest error on the way, in ticks. */
function errorsOf(traveller: Traveller, moves: number, passedNs: bigint): [bigint, bigint] {
  const errors = Array.from({ length: moves }, () => {
    traveller.move(passedNs)
    return traveller.error
  })
  const inOrder = errors.toSorted((a, b) => (a < b ? -1 : 1))
  return [inOrder[0] ?? 0n, inOrder.at(-1) ?? 0n]
}

describe('a thousand moves in a row', () => {
  const nearest: PlanOptions = { downtime: 'advance', rounding: 'nearest' }
  const up: PlanOptions = { downtime: 'advance', rounding: 'up' }
  const rings = fc.array(anyU64, { minLength: 2, maxLength: 5 })
  /** Long enough for the guest to make up for a step by standing still; whole ticks. */
  const downtimes = fc.bigInt({ min: 33_000_000n, max: 10n * SECOND }).map((ns) => ns - (ns % 125n))

  it('stay within half a step of true time with nearest', { timeout: 60_000 }, () => {
    fc.assert(
      fc.property(rings, downtimes, (origins, passedNs) => {
        const [lowest, highest] = errorsOf(new Traveller(origins, nearest), 1_000, passedNs)
        expect(lowest).toBeGreaterThanOrEqual(-HALF)
        expect(highest).toBeLessThanOrEqual(HALF)
      }),
      { numRuns: 50 },
    )
  })

  it('stay within a step ahead of true time with up', { timeout: 60_000 }, () => {
    fc.assert(
      fc.property(rings, downtimes, (origins, passedNs) => {
        const [lowest, highest] = errorsOf(new Traveller(origins, up), 1_000, passedNs)
        expect(lowest).toBeGreaterThanOrEqual(0n)
        expect(highest).toBeLessThan(STEP)
      }),
      { numRuns: 50 },
    )
  })

  it('lose a tick each at most where parts of a tick pass', { timeout: 60_000 }, () => {
    const anyNs = fc.bigInt({ min: 33_000_000n, max: 10n * SECOND })
    fc.assert(
      fc.property(rings, anyNs, (origins, passedNs) => {
        const [lowest, highest] = errorsOf(new Traveller(origins, nearest), 1_000, passedNs)
        expect(lowest).toBeGreaterThanOrEqual(-HALF - 1_000n)
        expect(highest).toBeLessThanOrEqual(HALF)
      }),
      { numRuns: 50 },
    )
  })

  it.each<[string, bigint[]]>([
    ['two hosts half a step apart, each way equally near', [0n, HALF]],
    ['three hosts, each two fifths of a step on', [0n, (STEP * 2n) / 5n, (STEP * 4n) / 5n]],
    ['three hosts, each three fifths on', [0n, (STEP * 3n) / 5n, (STEP * 6n) / 5n]],
  ])('do not drift around %s', (_what, origins) => {
    const [lowest, highest] = errorsOf(new Traveller(origins, nearest), 999, SECOND)
    expect(lowest).toBeGreaterThanOrEqual(-HALF)
    expect(highest).toBeLessThanOrEqual(HALF)
  })

  it('make good what too short downtimes left, as soon as one is long enough', () => {
    const traveller = new Traveller([0n, (STEP * 2n) / 5n, (STEP * 4n) / 5n], nearest)
    const [, highest] = errorsOf(traveller, 100, 125n)
    expect(highest).toBeGreaterThan(HALF)
    traveller.move(100n * SECOND)
    expect(traveller.error <= HALF && traveller.error >= -HALF).toBe(true)
  })

  it('only go forward with freeze and up, less than a step each', () => {
    fc.assert(
      fc.property(rings, fc.bigInt({ min: 0n, max: 10n * SECOND }), (origins, passedNs) => {
        const traveller = new Traveller(origins, { downtime: 'freeze', rounding: 'up' })
        for (let move = 0; move < 1_000; move++) {
          const before = traveller.guestTimebase
          traveller.move(passedNs)
          const step = i64(traveller.guestTimebase - before)
          expect(step >= 0n && step < STEP, `a step of ${step} ticks`).toBe(true)
        }
      }),
      { numRuns: 20 },
    )
  })
})

describe('what planTimebase refuses', () => {
  const state: TimebasePoint = {
    guestTimebase: 1n,
    timeOfDayNs: 0n,
    timebaseFrequency: MHZ_512,
    uncertaintyNs: 0n,
  }
  const sample: TimebaseSample = {
    timebase: 2n,
    timeOfDayNs: SECOND,
    timebaseFrequency: MHZ_512,
    uncertaintyNs: 0n,
  }

  it.each<[string, object]>([
    ['an unknown option', { align: true }],
    ['a misspelt option', { downTime: 'freeze' }],
    ['a misspelt option beside a right one', { rounding: 'up', maxDowntime: 1n }],
    ['another word for downtime', { downtime: 'frozen' }],
    ['another case', { downtime: 'Freeze' }],
    ['true for downtime', { downtime: true }],
    ['null for downtime', { downtime: null }],
    ['another word for rounding', { rounding: 'down' }],
    ['a number for rounding', { rounding: 1 }],
  ])('%s', (_what, options) => {
    const error = caught(TypeError, () => planTimebase(state, sample, options))
    expect(error).toMatchObject({ code: 'ERR_INVALID_ARG_VALUE' })
  })

  it('names the option that it does not know, and those that it does', () => {
    const options = { maxDowntime: 1n } as object
    expect(() => planTimebase(state, sample, options)).toThrow(/maxDowntimeNs.*'maxDowntime'/)
  })

  const wrongTypes = [
    ['nothing', undefined],
    ['null', null],
    ['a number', 5],
    ['a string', '5'],
    ['a boolean', true],
    ['an object', {}],
  ] as const
  const samplesOf = ['timebase', 'timeOfDayNs', 'timebaseFrequency', 'uncertaintyNs'] as const
  const statesOf = ['guestTimebase', 'timeOfDayNs', 'timebaseFrequency', 'uncertaintyNs'] as const
  const tooSmall: Readonly<Record<string, bigint>> = {
    timeOfDayNs: -(2n ** 63n) - 1n,
    timebaseFrequency: 0n,
  }
  const tooLarge: Readonly<Record<string, bigint>> = { timeOfDayNs: 2n ** 63n }

  it.each(
    samplesOf.flatMap((field) => wrongTypes.map(([what, value]) => ({ what, field, value }))),
  )('$what for $field of the sample', ({ field, value }) => {
    const wrong = { ...sample, [field]: value }
    const error = caught(TypeError, () => planTimebase(state, wrong))
    expect(error).toMatchObject({ code: 'ERR_INVALID_ARG_TYPE' })
    expect(error.message).toContain(`sample.${field as string}`)
  })

  it.each(statesOf.flatMap((field) => wrongTypes.map(([what, value]) => ({ what, field, value }))))(
    '$what for $field of the state',
    ({ field, value }) => {
      const wrong = { ...state, [field]: value }
      const error = caught(TypeError, () => planTimebase(wrong, sample))
      expect(error).toMatchObject({ code: 'ERR_INVALID_ARG_TYPE' })
      expect(error.message).toContain(`state.${field as string}`)
    },
  )

  it.each(samplesOf)('%s of the sample out of range', (field) => {
    for (const value of [tooSmall[field] ?? -1n, tooLarge[field] ?? 2n ** 64n, -(2n ** 100n)]) {
      const wrong = { ...sample, [field]: value }
      const error = caught(RangeError, () => planTimebase(state, wrong))
      expect(error).toMatchObject({ code: 'ERR_OUT_OF_RANGE' })
      expect(error.message).toContain(`sample.${field}`)
    }
  })

  it.each(statesOf)('%s of the state out of range', (field) => {
    for (const value of [tooSmall[field] ?? -1n, tooLarge[field] ?? 2n ** 64n, 2n ** 100n]) {
      const wrong = { ...state, [field]: value }
      const error = caught(RangeError, () => planTimebase(wrong, sample))
      expect(error).toMatchObject({ code: 'ERR_OUT_OF_RANGE' })
      expect(error.message).toContain(`state.${field}`)
    }
  })

  it.each([null, 5, '5', {}])('%o for roundingTicks of the state', (roundingTicks) => {
    const wrong = { ...state, roundingTicks } as unknown as TimebasePoint
    const error = caught(TypeError, () => planTimebase(wrong, sample))
    expect(error).toMatchObject({ code: 'ERR_INVALID_ARG_TYPE' })
  })

  it.each([2n ** 63n, 2n ** 63n - 1n, 2n ** 40n + 1n, -STEP - 1n, -(2n ** 62n), -(2n ** 63n) - 1n])(
    'roundingTicks of %d',
    (roundingTicks) => {
      const error = caught(RangeError, () => planTimebase({ ...state, roundingTicks }, sample))
      expect(error).toMatchObject({ code: 'ERR_OUT_OF_RANGE' })
      expect(error.message).toContain('state.roundingTicks')
      if (BigInt.asIntN(64, roundingTicks) === roundingTicks) {
        expect(error.message).toContain('from -2^24 to 2^40')
      }
    },
  )

  it.each([
    ['nothing', undefined],
    ['null', null],
    ['an array', []],
    ['a bigint', 1n],
  ])('%s for the state, the sample', (_what, value) => {
    for (const call of [
      () => planTimebase(value as never, sample),
      () => planTimebase(state, value as never),
    ]) {
      expect(caught(TypeError, call)).toMatchObject({ code: 'ERR_INVALID_ARG_TYPE' })
    }
  })

  it.each([
    ['null', null],
    ['an array', []],
    ['a word', 'freeze'],
    ['a number for maxDowntimeNs', { maxDowntimeNs: 1_000 }],
    ['null for maxDowntimeNs', { maxDowntimeNs: null }],
  ])('%s for the options', (_what, options) => {
    const error = caught(TypeError, () => planTimebase(state, sample, options as never))
    expect(error).toMatchObject({ code: 'ERR_INVALID_ARG_TYPE' })
  })

  it('a state that came from JSON.parse, and names parseTimebase', () => {
    const parsed = { ...state, guestTimebase: '5' } as unknown as TimebasePoint
    const error = caught(TypeError, () => planTimebase(parsed, sample))
    expect(error).toMatchObject({ code: 'ERR_INVALID_ARG_TYPE' })
    expect(error.message).toMatch(/^state\.guestTimebase must be a bigint, as parseTimebase makes/)
  })

  it('says how to write a bigint where a number was given', () => {
    const options = { maxDowntimeNs: 1_000 as unknown as bigint }
    expect(() => planTimebase(state, sample, options)).toThrow(/write 1n/)
  })

  it.each([-1n, 2n ** 64n])('maxDowntimeNs of %d', (maxDowntimeNs) => {
    const error = caught(RangeError, () => planTimebase(state, sample, { maxDowntimeNs }))
    expect(error).toMatchObject({ code: 'ERR_OUT_OF_RANGE' })
  })

  it.each<PlanOptions>([{}, { downtime: 'freeze', rounding: 'up' }])(
    'another frequency, and tells both, with %o',
    (options) => {
      const other = { ...sample, timebaseFrequency: 512_000_001n }
      const error = caught(TimebaseFrequencyError, () => planTimebase(state, other, options))
      expect(error).toMatchObject({
        code: 'ERR_TIMEBASE_FREQUENCY',
        saved: 512_000_000n,
        host: 512_000_001n,
      })
      expect(error.message).toMatch(/512000000 .*512000001 /)
    },
  )

  it.each(['advance', 'freeze'] as const)(
    'one ns more than maxDowntimeNs, not just as much (%s)',
    (downtime) => {
      const maxDowntimeNs = SECOND - 1n
      const error = caught(TimebaseDowntimeError, () =>
        planTimebase(state, sample, { downtime, maxDowntimeNs }),
      )
      expect(error).toMatchObject({
        code: 'ERR_TIMEBASE_DOWNTIME',
        downtimeNs: SECOND,
        maxDowntimeNs,
      })
      expect(error.message).toMatch(/1000000000 .*999999999/)
      const plan = planTimebase(state, sample, { downtime, maxDowntimeNs: SECOND })
      expect(plan.downtimeNs).toBe(SECOND)
    },
  )

  it('a pause of 1 ns, with a maxDowntimeNs of 0', () => {
    const later = { ...sample, timeOfDayNs: 1n }
    expect(() => planTimebase(state, later, { maxDowntimeNs: 0n })).toThrow(TimebaseDowntimeError)
  })

  describe('a clock that is behind the saved time,', () => {
    const clocks = (maxErrorNs: bigint, synchronised = true) =>
      [
        { ...state, uncertaintyNs: 3n, clock: { synchronised: true, maxErrorNs } },
        { ...sample, uncertaintyNs: 4n, clock: { synchronised, maxErrorNs } },
      ] as const

    it.each(['advance', 'freeze'] as const)(
      'by more than the uncertainty of both, where the pause is limited (%s)',
      (downtime) => {
        const [saved, now] = clocks(SECOND, false)
        const at = (timeOfDayNs: bigint, options: PlanOptions) =>
          planTimebase(saved, { ...now, timeOfDayNs }, { downtime, ...options })
        const limit = { maxDowntimeNs: 5n * SECOND }
        const error = caught(TimebaseClockError, () => at(-8n, limit))
        expect(error).toMatchObject({ code: 'ERR_TIMEBASE_CLOCK', behindNs: 8n, toleranceNs: 7n })
        expect(error.message).toMatch(/wall clock is 8 ns behind .* explain 7 ns.*[Ss]ynchronise/)
        expect(at(-7n, limit)).toMatchObject({ downtimeNs: 0n, clockDifferenceNs: -7n })
        expect(at(-29n * SECOND, {})).toMatchObject({
          downtimeNs: 0n,
          clockDifferenceNs: -29n * SECOND,
        })
      },
    )

    it.each<[string, bigint, bigint, bigint]>([
      ['the errors of both clocks', 10n, 5n * SECOND, 27n],
      ['the limit of the pause, if their errors are greater', SECOND, 100n, 107n],
      ['the uncertainty alone, if no pause is allowed', SECOND, 0n, 7n],
    ])('by more than %s', (_what, maxErrorNs, maxDowntimeNs, tolerance) => {
      const [saved, now] = clocks(maxErrorNs)
      const at = (timeOfDayNs: bigint) =>
        planTimebase(saved, { ...now, timeOfDayNs }, { maxDowntimeNs })
      expect(at(-tolerance).clockDifferenceNs).toBe(-tolerance)
      expect(caught(TimebaseClockError, () => at(-tolerance - 1n)).toleranceNs).toBe(tolerance)
    })
  })

  it.each<[string, unknown, RegExp]>([
    ['null', null, /clock must be an object/],
    ['a word for synchronised', { synchronised: 'yes', maxErrorNs: 0n }, /clock\.synchronised/],
    ['no error', { synchronised: true }, /clock\.maxErrorNs/],
    ['an error below 0', { synchronised: true, maxErrorNs: -1n }, /clock\.maxErrorNs/],
    ['an unknown field', { synchronised: true, maxErrorNs: 0n, tick: 1 }, /clock may have only/],
  ])('%s for a clock', (_what, clock, message) => {
    expect(() => planTimebase({ ...state, clock } as never, sample)).toThrow(message)
    expect(() => planTimebase(state, { ...sample, clock } as never)).toThrow(message)
  })

  it('nothing at the ends of every range', () => {
    const end = 2n ** 64n - 1n
    const ends = { timebaseFrequency: end, uncertaintyNs: end }
    const plan = planTimebase(
      { guestTimebase: end, timeOfDayNs: 2n ** 63n - 1n, ...ends },
      { timebase: end, timeOfDayNs: -(2n ** 63n), ...ends },
      { maxDowntimeNs: end },
    )
    expect(plan).toMatchObject({ offset: 0n, guestTimebase: end, advancedTicks: 0n })
  })
})

describe('by how much a guest can be off', () => {
  const known = { synchronised: true, maxErrorNs: 1_000n }
  const at = (hostTimebase: bigint, clocks: object, options: PlanOptions = {}) =>
    planTimebase(
      {
        guestTimebase: 0n,
        timeOfDayNs: 0n,
        timebaseFrequency: MHZ_512,
        uncertaintyNs: 3n,
        clock: known,
      },
      {
        timebase: hostTimebase,
        timeOfDayNs: SECOND,
        timebaseFrequency: MHZ_512,
        uncertaintyNs: 4n,
        ...clocks,
      },
      options,
    )

  it('is what the clocks and the rounding can be wrong by', () => {
    // A second is 30.5 steps and more: with this timebase the guest is 5 ticks behind, which is 9.8 ns.
    const plan = at(MHZ_512 - 5n, { clock: known })
    expect(plan.roundingTicks).toBe(-5n)
    expect(plan.errorNs).toBe(2_000n + 7n + 10n)
    expect(at(MHZ_512 + 5n, { clock: known }).errorNs).toBe(2_000n + 7n + 10n)
  })

  it('is not known without both clocks', () => {
    expect(at(MHZ_512, {})).not.toHaveProperty('errorNs')
    expect(at(MHZ_512, { clock: { ...known, synchronised: false } })).not.toHaveProperty('errorNs')
  })

  it('is the rounding alone for a guest that is frozen', () => {
    expect(at(5n, {}, { downtime: 'freeze' })).toMatchObject({ roundingTicks: 5n, errorNs: 10n })
    expect(at(0n, {}, { downtime: 'freeze' }).errorNs).toBe(0n)
  })
})

describe('nextAligned', () => {
  it.each<[what: string, guestTimebase: bigint, from: bigint, next: bigint]>([
    ['now, with an offset of 0', 5n, 5n, 5n],
    ['now, with an offset of 2^24', STEP + 5n, 5n, 5n],
    ['a tick later', 6n, 5n, 6n],
    ['nearly 2^24 ticks later', 5n, 6n, STEP + 5n],
    ['past the end of the timebase', 5n, 2n ** 64n - 1n, 5n],
    ['as near to a guest timebase beyond 2^63', 2n ** 64n - 1n, 5n, STEP - 1n],
  ])('is %s', (_what, guestTimebase, from, next) => {
    expect(nextAligned(guestTimebase, from)).toBe(next)
  })
})
