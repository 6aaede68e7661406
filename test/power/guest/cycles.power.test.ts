import { setTimeout as wait } from 'node:timers/promises'
import { afterAll, describe, expect, it } from 'vitest'
import { Host } from '../../../lib/kvm/host.ts'
import { loadTimebase } from '../../../lib/timebase/load.ts'
import { saveTimebase } from '../../../lib/timebase/save.ts'
import type { AlignOptions } from '../../../lib/timebase/load.ts'
import type { LoadOutcome } from '../../../lib/timebase/outcomes.ts'
import { NativeKernel } from '../../../lib/kernel/native.ts'
import type { TimebaseState } from '../../../lib/timebase/state.ts'
import { TIMEBASE_OFFSET_STEP } from '../../../lib/timebase/plan.ts'
import type { PlanOptions } from '../../../lib/timebase/plan.ts'
import { TestGuest } from './index.ts'
import { QemuTimebase } from './qemu-timebase.ts'
import { largest, median, microseconds, report, smallest, sum } from './report.ts'

const CYCLES = 200
const VCPUS = 2
const STEP = TIMEBASE_OFFSET_STEP

/** What the wall clock and the timebase may drift apart between a save and its load: 1 ms. */
const CLOCKS = 512_000n

const host = new Host(new NativeKernel())

afterAll(() => {
  host.close()
})

/** One stop and continue, in ticks. */
interface Cycle {
  /** How far the guest's timebase advanced beyond what it should have. */
  readonly excess: bigint
  /** TB_OFFSET less the one of the beginning: how far the guest is ahead of the host's own time. */
  readonly ahead: bigint
  /** From the last value before to the first value after, on each vCPU. */
  readonly steps: readonly bigint[]
  /** From the saved guest timebase to the first value after, on the vCPU that read first. */
  readonly resume: bigint
}

/** A guest that watches its timebase while it is stopped, saved, loaded and continued on one host. */
async function watchCycles(options: PlanOptions | AlignOptions) {
  using guest = new TestGuest(host, 'watch', VCPUS)
  guest.start()
  await allHaveRead(guest)
  const cycles: Cycle[] = []
  let first: bigint | undefined
  for (let count = 0; count < CYCLES; count++) {
    guest.stop()
    const state = saveTimebase(guest.vcpus)
    first ??= state.offset
    guest.noteNextStep(state.guestTimebase)
    const outcome = await loadTimebase(guest.vcpus, state, options as AlignOptions)
    guest.start()
    await allHaveRead(guest)
    const seen = guest.vcpus.map((_, vcpu) => guest.watched(vcpu))
    cycles.push({
      excess:
        outcome.advancedTicks - (options.downtime === 'freeze' ? 0n : trueTime(state, outcome)),
      ahead: BigInt.asIntN(64, outcome.offset - first),
      steps: seen.map(({ step = 0n }) => step),
      resume: smallest(seen.map(({ first = 0n }) => first - state.guestTimebase)),
    })
  }
  guest.stop()
  const seen = guest.vcpus.map((_, vcpu) => guest.watched(vcpu))
  const figures = {
    reads: sum(seen.map(({ reads }) => reads)),
    backwardSteps: sum(seen.map(({ backwardSteps }) => backwardSteps)),
    excess: cycles.map(({ excess }) => excess),
    ahead: cycles.map(({ ahead }) => ahead),
    resume: cycles.map(({ resume }) => resume),
    steps: cycles.map(({ steps }) => largest(steps)),
  }
  report(`${CYCLES} cycles with ${JSON.stringify(options)}`, {
    reads: figures.reads,
    'backward steps': figures.backwardSteps,
    'excess from': microseconds(smallest(figures.excess)),
    to: microseconds(largest(figures.excess)),
    'ahead of true time in the mean': microseconds(sum(figures.ahead) / BigInt(CYCLES)),
    'step seen, median': microseconds(median(figures.steps)),
    worst: microseconds(largest(figures.steps)),
    'of that after the resume, median': microseconds(median(figures.resume)),
    'and worst': microseconds(largest(figures.resume)),
  })
  return figures
}

/** How much time passed between a save and its load by the host's timebase. */
function trueTime(state: TimebaseState, outcome: LoadOutcome): bigint {
  const saved = state.guestTimebase - state.offset
  const loaded = outcome.guestTimebase - outcome.offset
  return BigInt.asUintN(64, loaded - saved)
}

/** Until every vCPU has read its timebase since the last stop. */
async function allHaveRead(guest: TestGuest): Promise<void> {
  while (guest.vcpus.some((_, vcpu) => guest.watched(vcpu).step === undefined)) await wait(1)
}

describe(`a guest that watches its timebase over ${CYCLES} stops on one host`, () => {
  it('sees no step back with advance and nearest, and stays at true time', async () => {
    const seen = await watchCycles({ downtime: 'advance', rounding: 'nearest' })
    expect(seen.backwardSteps).toBe(0n)
    expect(seen.reads).toBeGreaterThan(BigInt(CYCLES * VCPUS))
    expect(largest(seen.ahead)).toBeLessThanOrEqual(STEP / 2n + CLOCKS)
    expect(smallest(seen.ahead)).toBeGreaterThanOrEqual(-STEP / 2n - CLOCKS)
    const mean = sum(seen.ahead) / BigInt(CYCLES)
    expect(mean).toBeLessThanOrEqual(CLOCKS)
    expect(mean).toBeGreaterThanOrEqual(-CLOCKS)
  })

  it('never goes back with advance and up, and no more than a step too far', async () => {
    const seen = await watchCycles({ downtime: 'advance', rounding: 'up' })
    expect(seen.backwardSteps).toBe(0n)
    expect(largest(seen.excess)).toBeLessThanOrEqual(STEP + CLOCKS)
    expect(smallest(seen.excess)).toBeGreaterThanOrEqual(-STEP - CLOCKS)
    expect(smallest(seen.ahead)).toBeGreaterThanOrEqual(-CLOCKS)
  })

  it.each(['up', 'nearest'] as const)(
    'never goes back with freeze and %s, and no more than a step too far',
    async (rounding) => {
      const seen = await watchCycles({ downtime: 'freeze', rounding })
      expect(seen.backwardSteps).toBe(0n)
      expect(smallest(seen.excess)).toBeGreaterThanOrEqual(0n)
      expect(largest(seen.excess)).toBeLessThan(STEP)
    },
  )

  it('sees no step back with freeze and align, and goes on to the tick', async () => {
    const seen = await watchCycles({ downtime: 'freeze', align: true })
    expect(seen.backwardSteps).toBe(0n)
    expect(largest(seen.excess)).toBe(0n)
  })

  it('sees steps back when the unrounded offset is remembered, as QEMU does', async () => {
    using guest = new TestGuest(host, 'watch', VCPUS)
    const qemu = new QemuTimebase()
    guest.start()
    await allHaveRead(guest)
    for (let count = 0; count < CYCLES; count++) {
      guest.stop()
      const { guestTimebase } = qemu.save(host)
      guest.noteNextStep(0n)
      await wait(5)
      qemu.load(host, guest.vcpus, guestTimebase)
      guest.start()
      await allHaveRead(guest)
      await wait(5)
    }
    guest.stop()
    const seen = guest.vcpus.map((_, vcpu) => guest.watched(vcpu))
    const worst = largest(seen.map(({ worstBackwardStep }) => worstBackwardStep))
    const backwardSteps = sum(seen.map((each) => each.backwardSteps))
    report(`${CYCLES} cycles as QEMU does them`, {
      'backward steps': backwardSteps,
      worst: microseconds(worst),
    })
    expect(backwardSteps).toBeGreaterThan(0n)
    expect(worst).toBeGreaterThan(0n)
    expect(worst).toBeLessThan(STEP)
  })
})
