import { expect } from 'vitest'
import type { Check, Rig } from './rig.ts'

const STEP = 1n << 24n

/** Sets TB_OFFSET, and expects DEC_EXPIRY to become host timebase + offset of that instant. */
function expectExpiryOfNow(rig: Rig, vcpu: number, offset: bigint): bigint {
  const before = rig.kernel.timebase()
  expect(rig.set(vcpu, 'TB_OFFSET', offset)).toBe(0)
  const after = rig.kernel.timebase()
  const kept = rig.get(vcpu, 'TB_OFFSET')
  const expiry = rig.get(vcpu, 'DEC_EXPIRY')
  if (typeof kept === 'string' || typeof expiry === 'string') throw new Error('not readable')
  const since = BigInt.asUintN(64, expiry - kept - before)
  expect(since).toBeLessThanOrEqual(BigInt.asUintN(64, after - before))
  return expiry
}

export function checkTimebaseOffset(check: Check): void {
  check('are 0 in a new vCPU', (rig) => {
    const vcpu = rig.vcpu()
    expect(rig.get(vcpu, 'TB_OFFSET')).toBe(0n)
    expect(rig.get(vcpu, 'DEC_EXPIRY')).toBe(0n)
  })

  check('round an offset up to the next multiple of 2^24, modulo 2^64', (rig) => {
    const vcpu = rig.vcpu()
    const cases: [bigint, bigint][] = [
      [0x1234_5678_9abcn, 0x1234_5700_0000n],
      [1n, STEP],
      [5n, STEP],
      [STEP - 1n, STEP],
      [STEP, STEP],
      [STEP + 1n, 2n * STEP],
      [(1n << 63n) + 1n, 0x8000_0000_0100_0000n],
      [1n << 63n, 1n << 63n],
      [(1n << 63n) - 1n, 1n << 63n],
      [(1n << 64n) - STEP, (1n << 64n) - STEP],
      [(1n << 64n) - STEP + 1n, 0n],
      [(1n << 64n) - 1n, 0n],
      [0n, 0n],
    ]
    for (const [set, kept] of cases) {
      expect([set, rig.setAndGet(vcpu, 'TB_OFFSET', set)]).toEqual([set, kept])
    }
  })

  check('are each vCPU’s own, also of one that is made later', (rig) => {
    const vm = rig.vm()
    const [zero, one, eight] = [rig.vcpu(vm, 0), rig.vcpu(vm, 1), rig.vcpu(vm, 8)]
    rig.set(zero, 'TB_OFFSET', 0x1234_5678_9abcn)
    for (const vcpu of [one, eight, rig.vcpu(vm, 9)]) {
      expect(rig.get(vcpu, 'TB_OFFSET')).toBe(0n)
      expect(rig.get(vcpu, 'DEC_EXPIRY')).toBe(0n)
    }
    rig.set(eight, 'TB_OFFSET', 5n)
    expect(rig.get(zero, 'TB_OFFSET')).toBe(0x1234_5700_0000n)
    expect(rig.get(one, 'TB_OFFSET')).toBe(0n)
  })

  check('do not start DEC_EXPIRY by an offset of 0', (rig) => {
    const vcpu = rig.vcpu()
    rig.set(vcpu, 'TB_OFFSET', 0n)
    expect(rig.get(vcpu, 'DEC_EXPIRY')).toBe(0n)
  })

  check('do not start DEC_EXPIRY by an offset that wraps to 0', (rig) => {
    const vcpu = rig.vcpu()
    expect(rig.setAndGet(vcpu, 'TB_OFFSET', (1n << 64n) - 1n)).toBe(0n)
    expect(rig.get(vcpu, 'DEC_EXPIRY')).toBe(0n)
  })

  check(
    'start DEC_EXPIRY at timebase + offset by the first offset, and leave it to later ones',
    (rig) => {
      const vcpu = rig.vcpu()
      const expiry = expectExpiryOfNow(rig, vcpu, 5n)
      for (const offset of [1n << 32n, 0n, 7n, (1n << 64n) - STEP]) {
        rig.set(vcpu, 'TB_OFFSET', offset)
        expect(rig.get(vcpu, 'DEC_EXPIRY')).toBe(expiry)
      }
    },
  )

  check('start DEC_EXPIRY by an offset below zero, which is a large one', (rig) => {
    expectExpiryOfNow(rig, rig.vcpu(), (1n << 64n) - (1n << 40n))
  })

  check('start DEC_EXPIRY anew after it was set to 0', (rig) => {
    const vcpu = rig.vcpu()
    expectExpiryOfNow(rig, vcpu, 5n)
    expect(rig.setAndGet(vcpu, 'DEC_EXPIRY', 0n)).toBe(0n)
    expectExpiryOfNow(rig, vcpu, 1n << 33n)
  })

  check('leave a DEC_EXPIRY alone that was set before', (rig) => {
    const vcpu = rig.vcpu()
    expect(rig.setAndGet(vcpu, 'DEC_EXPIRY', 12345n)).toBe(12345n)
    rig.set(vcpu, 'TB_OFFSET', (1n << 64n) - STEP)
    expect(rig.get(vcpu, 'DEC_EXPIRY')).toBe(12345n)
  })

  check('keep DEC_EXPIRY as it is written, whatever the offset', (rig) => {
    const vcpu = rig.vcpu()
    rig.set(vcpu, 'TB_OFFSET', 1n << 40n)
    for (const expiry of [1n, (1n << 64n) - 1n, 0x1234_5678_9abc_def0n]) {
      expect(rig.setAndGet(vcpu, 'DEC_EXPIRY', expiry)).toBe(expiry)
    }
  })
}
