import { describe, expect, it } from 'vitest'
import { ticksToDecrementer as ticksOf } from '../../lib/kernel/software/decrementer.ts'
import { loadTimebase } from '../../lib/timebase/load.ts'
import { saveTimebase } from '../../lib/timebase/save.ts'
import type { PlanOptions } from '../../lib/timebase/plan.ts'
import { hostPair, ticksToDecrementer } from '../../lib/testing/index.ts'
import type { Vcpu } from '../../lib/kvm/vcpu.ts'
import { SECOND } from '../support/host-pair.ts'

const TICKS = 512_000_000n
const LPCR_LD = 0x2_0000n

interface Pause {
  /** What was left when the guest was saved, in ticks. */
  readonly left: bigint
  /** In ns. */
  readonly pause: bigint
  readonly options?: PlanOptions
}

/** A vCPU that was moved with an armed decrementer, and what it was armed for. */
function moved({ left, pause, options = {} }: Pause, check: (to: Vcpu, armed: bigint) => void) {
  using pair = hostPair({ backend: 'software' })
  const from = pair.source.createVm().createVcpu(0)
  from.set('TB_OFFSET', 31_557_600n * TICKS)
  const armed = pair.source.timebase() + from.get('TB_OFFSET') + left
  from.set('DEC_EXPIRY', armed)
  const state = saveTimebase([from])
  pair.time.pass(pause)
  const to = pair.destination.createVm().createVcpu(0)
  loadTimebase([to], state, options)
  check(to, armed)
}

describe('a decrementer on a bare-metal host', () => {
  it.each([1n, 3n, 5n, 6n, 7n, 9n, 12n, 14n, 60n, 600n, 3_600n])(
    'with 1.5 s left fires when it is due, or at once, after a pause of %s s',
    (seconds) => {
      moved({ left: (3n * TICKS) / 2n, pause: seconds * SECOND }, (vcpu, armed) => {
        const guestTimebase = vcpu.host.timebase() + vcpu.get('TB_OFFSET')
        const due = armed > guestTimebase ? armed - guestTimebase : 0n
        expect(ticksToDecrementer(vcpu)).toBe(due)
        if (due === 0n) expect(vcpu.get('DEC_EXPIRY')).toBe(guestTimebase)
        else expect(vcpu.get('DEC_EXPIRY')).toBe(armed)
      })
    },
  )

  it('fires seconds late if a monitor writes the saved value, as this test can see', () => {
    moved({ left: TICKS, pause: 7n * SECOND }, (vcpu, armed) => {
      vcpu.set('DEC_EXPIRY', armed)
      const late = Number(ticksToDecrementer(vcpu)) / Number(TICKS)
      expect(late).toBeGreaterThan(2)
      expect(late).toBeLessThan(3)
    })
  })

  it('fires at once where the guest is frozen, if it fell due before it was saved', () => {
    const options: PlanOptions = { downtime: 'freeze' }
    moved({ left: -6n * TICKS, pause: SECOND, options }, (vcpu) => {
      expect(ticksToDecrementer(vcpu)).toBe(0n)
    })
  })

  it.each([1n, 1n << 30n, 1n << 31n, 1n << 40n, (1n << 62n) + 1n])(
    'keeps an expiry that is %s ticks ahead',
    (left) => {
      moved({ left, pause: 0n, options: { downtime: 'freeze' } }, (vcpu, armed) => {
        const guestTimebase = vcpu.host.timebase() + vcpu.get('TB_OFFSET')
        const passed = armed - left < guestTimebase ? guestTimebase - (armed - left) : 0n
        expect(vcpu.get('DEC_EXPIRY')).toBe(passed >= left ? guestTimebase : armed)
      })
    },
  )
})

describe('ticksToDecrementer', () => {
  const NOW = 1n << 40n
  const S31 = 1n << 31n

  it.each([
    ['due now', 0n, 0n],
    ['in the past', -1n, 0n],
    ['2^31 ticks in the past', -S31, 0n],
    ['a tick more in the past', -S31 - 1n, S31 - 1n],
    ['nearly 2^32 ticks in the past', -2n * S31 + 1n, 1n],
    ['2^32 ticks in the past', -2n * S31, 0n],
    ['a tick ahead', 1n, 1n],
    ['2^31 - 1 ticks ahead', S31 - 1n, S31 - 1n],
    ['2^31 ticks ahead', S31, 0n],
    ['2^32 + 5 ticks ahead', 2n * S31 + 5n, 5n],
  ])('of 32 bits, %s', (_when, ahead, expected) => {
    expect(ticksOf(NOW + ahead, NOW, 0n)).toBe(expected)
    // The guest's timebase wraps.
    expect(ticksOf(BigInt.asUintN(64, ahead), 0n, 0n)).toBe(expected)
  })

  it.each([
    ['far in the past', -(1n << 50n), 0n],
    ['far ahead', 1n << 50n, 1n << 50n],
    ['2^31 ticks ahead', S31, S31],
  ])('of a large one, %s', (_when, ahead, expected) => {
    expect(ticksOf(NOW + ahead, NOW, LPCR_LD)).toBe(expected)
  })

  it('reads the registers and the host of a vCPU', () => {
    using pair = hostPair({ backend: 'software', source: { machine: 'powernv POWER9' } })
    const vcpu = pair.source.createVm().createVcpu(0)
    vcpu.write({ TB_OFFSET: 1n << 24n, DEC_EXPIRY: pair.source.timebase() + (1n << 24n) + S31 })
    expect(ticksToDecrementer(vcpu)).toBe(0n)
    vcpu.set('LPCR_64', vcpu.get('LPCR_64') | LPCR_LD)
    expect(ticksToDecrementer(vcpu)).toBe(S31)
    pair.time.pass(SECOND)
    expect(ticksToDecrementer(vcpu)).toBe(S31 - TICKS)
  })
})
