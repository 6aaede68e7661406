import { setTimeout as wait } from 'node:timers/promises'
import { afterAll, expect, it } from 'vitest'
import { Host } from '../../../lib/kvm/host.ts'
import { loadTimebase } from '../../../lib/timebase/load.ts'
import { saveTimebase } from '../../../lib/timebase/save.ts'
import { NativeKernel } from '../../../lib/kernel/native.ts'
import type { TimebaseState } from '../../../lib/timebase/state.ts'
import { TIMEBASE_OFFSET_STEP } from '../../../lib/timebase/plan.ts'
import type { Vcpu } from '../../../lib/kvm/vcpu.ts'
import { expectWhen } from './expect-when.ts'
import { describeWithDecrementer } from './early-decrementer.ts'
import { TestGuest } from './index.ts'
import { microseconds, report } from './report.ts'

const host = new Host(new NativeKernel())
const describeTimers = await describeWithDecrementer(host)

/** The guest asks for an interrupt 2 s from now, runs for a while, and is away for 1 s. */
const ARMED_FOR = 2n * host.timebaseFrequency
const RUNS_MS = 200
const AWAY_MS = 1000
/** A busy machine makes the interrupt early by less than this, a wrong DEC_EXPIRY by more. */
const HALF_A_SECOND = host.timebaseFrequency / 2n

afterAll(() => {
  host.close()
})

/** How many ticks of the guest's timebase too late it fired: below 0 if too early. */
async function moveArmedGuest(
  load: (vcpus: readonly Vcpu[], state: TimebaseState) => unknown,
): Promise<bigint> {
  using source = new TestGuest(host, 'decrementer', 1)
  // A guest of another time than the host's: it has been up for a year.
  source.vcpus[0]?.set('TB_OFFSET', host.timebaseFrequency * 31_557_600n)
  source.setDecrementer(ARMED_FOR)
  source.start()
  while (source.decremented(0).last === 0n) await wait(1)
  await wait(RUNS_MS)
  source.stop()
  expect(source.decremented(0).times).toBe(0n)
  const state = saveTimebase(source.vcpus)
  const image = source.takeOut()

  await wait(AWAY_MS)

  using destination = new TestGuest(host, 'decrementer', 1)
  destination.putIn(image)
  load(destination.vcpus, state)
  destination.start()
  const deadline = performance.now() + 20_000
  while (destination.decremented(0).times === 0n && performance.now() < deadline) await wait(5)
  destination.stop()
  const { armedAt, firedAt, times } = destination.decremented(0)
  expect(times).toBeGreaterThan(0n)
  return BigInt.asIntN(64, firedAt - armedAt - ARMED_FOR)
}

describeTimers('a decrementer that is armed for 2 s when its guest goes away for 1 s', () => {
  it.each(['advance', 'freeze'] as const)(
    'fires at the right time of the guest, never early, to within a step, with %s',
    async (downtime) => {
      const late = await moveArmedGuest((vcpus, state) => {
        loadTimebase(vcpus, state, { downtime })
        // With advance, the expiry may have passed by now on a busy machine.
        if (downtime === 'freeze') {
          expect(vcpus[0]?.get('DEC_EXPIRY')).toBe(state.vcpus[0]?.decExpiry)
        }
      })
      report(`Decrementer with ${downtime}`, { 'fired late by': microseconds(late) })
      expectWhen(late, { from: 0n, before: TIMEBASE_OFFSET_STEP, elsewhereFrom: -HALF_A_SECOND })
    },
  )

  it('fires a second early when DEC_EXPIRY is written a second too small, so that these tests can fail', async () => {
    const late = await moveArmedGuest((vcpus, state) => {
      loadTimebase(vcpus, state, { downtime: 'freeze' })
      vcpus[0]?.set('DEC_EXPIRY', vcpus[0].get('DEC_EXPIRY') - host.timebaseFrequency)
    })
    report('Decrementer, a second too small', { 'fired late by': microseconds(late) })
    expect(late).toBeLessThan(-HALF_A_SECOND)
  })
})
