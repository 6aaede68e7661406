import { beforeEach, expect, it } from 'vitest'
import { SoftwareKernel } from '../../lib/kernel/software/kernel.ts'
import { Host } from '../../lib/kvm/host.ts'
import type { Vcpu } from '../../lib/kvm/vcpu.ts'
import { inheritTimebase } from '../../lib/timebase/inherit.ts'
import { loadTimebase } from '../../lib/timebase/load.ts'
import { saveTimebase } from '../../lib/timebase/save.ts'

// vCPUs that were loaded together have their last load in one object. None may get the load of another.

let host: Host
let first: Vcpu
let second: Vcpu
let third: Vcpu

beforeEach(() => {
  host = new Host(new SoftwareKernel({ timebase: 12_345_678n, time: () => 0n }))
  const vm = host.createVm()
  ;[first, second, third] = [vm.createVcpu(0), vm.createVcpu(1), vm.createVcpu(2)]
  return () => {
    host.close()
  }
})

/** Loads vCPUs at a guest's timebase, and returns the rounding error, which is not 0. */
function loadAt(guestTimebase: bigint, ...vcpus: Vcpu[]): bigint {
  const state = { ...saveTimebase(vcpus), roundingTicks: 0n }
  const { roundingTicks } = loadTimebase(vcpus, { ...state, guestTimebase })
  expect(roundingTicks).not.toBe(0n)
  return roundingTicks
}

function errorOf(...vcpus: Vcpu[]): bigint | undefined {
  return saveTimebase(vcpus).roundingTicks
}

it('a second load of the same vCPUs takes the place of the first', () => {
  const before = loadAt(1n << 40n, first, second)
  const after = loadAt((1n << 41n) + 3_000_000n, first, second)
  expect(after).not.toBe(before)
  expect([errorOf(first, second), errorOf(first), errorOf(second)]).toEqual([after, after, after])
})

it('a vCPU that is loaded by itself leaves the others their load', () => {
  const together = loadAt(1n << 40n, first, second)
  const apart = loadAt((1n << 41n) + 3_000_000n, second)
  const again = loadAt((1n << 42n) + 5_000_000n, second)
  expect([errorOf(first), errorOf(second)]).toEqual([together, again])
  expect(again).not.toBe(apart)
})

it('other vCPUs, as many as were loaded together, have a load of their own', () => {
  const together = loadAt(1n << 40n, first, second)
  second.set('TB_OFFSET', third.get('TB_OFFSET'))
  loadAt((1n << 41n) + 3_000_000n, second, third)
  expect(errorOf(first)).toBe(together)
  const another = loadAt((1n << 42n) + 5_000_000n, third)
  expect(errorOf(third)).toBe(another)
})

it('the first of as many vCPUs does not speak for the rest', () => {
  const together = loadAt(1n << 40n, first, second)
  third.set('TB_OFFSET', first.get('TB_OFFSET'))
  loadAt((1n << 41n) + 3_000_000n, first, third)
  expect(errorOf(second)).toBe(together)
})

it('a vCPU that has inherited keeps that when those that it joined are loaded without it', () => {
  const inherited = loadAt(1n << 40n, first, second)
  inheritTimebase(first, third)
  loadAt((1n << 41n) + 3_000_000n, first, second)
  expect(errorOf(third)).toBe(inherited)
  second.set('TB_OFFSET', first.get('TB_OFFSET'))
  third.set('TB_OFFSET', first.get('TB_OFFSET'))
  const together = loadAt((1n << 42n) + 5_000_000n, first, second, third)
  expect(errorOf(third)).toBe(together)
})

it('guests with as many vCPUs have descriptors of their own, also in turn', () => {
  for (const guestTimebase of [1n << 40n, 1n << 41n]) {
    loadAt(guestTimebase, first)
    loadAt(guestTimebase + (1n << 30n), second)
    loadAt(guestTimebase + (1n << 31n), third)
  }
  const [one, two, three] = [first, second, third].map((vcpu) => vcpu.get('TB_OFFSET'))
  expect(two).toBe((one ?? 0n) + (1n << 30n))
  expect(three).toBe((one ?? 0n) + (1n << 31n))
})
