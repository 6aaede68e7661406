import { setTimeout as wait } from 'node:timers/promises'
import { afterAll, expect, it } from 'vitest'
import { kvmKind } from '../../../lib/kvm/this-machine.ts'
import { Host } from '../../../lib/kvm/host.ts'
import type { Vcpu } from '../../../lib/kvm/vcpu.ts'
import { inheritTimebase } from '../../../lib/timebase/inherit.ts'
import { NativeKernel } from '../../../lib/kernel/native.ts'
import { TestGuest } from './index.ts'

const host = new Host(new NativeKernel())

afterAll(() => {
  host.close()
})

/** Whether what the vCPU last read was this guest's time while it ran. */
function readsGuestTime(guest: TestGuest, vcpu: number, began: bigint, ended: bigint): boolean {
  const offset = guest.vcpus[0]?.get('TB_OFFSET') ?? 0n
  const asHostTime = BigInt.asUintN(64, guest.watched(vcpu).last - offset)
  return asHostTime >= began && asHostTime <= ended
}

/** Runs the guest until each vCPU has read anew: the first reading may be one from before it was stopped. */
async function run(guest: TestGuest): Promise<{ began: bigint; ended: bigint }> {
  const reads = guest.vcpus.map((_, vcpu) => guest.watched(vcpu).reads)
  const began = host.timebase()
  guest.start()
  while (reads.some((before, vcpu) => guest.watched(vcpu).reads < before + 2n)) await wait(1)
  guest.stop()
  return { began, ended: host.timebase() }
}

/** A guest of four vCPUs that ran with an offset, and a fifth one that is new. */
async function withFifth(): Promise<{ guest: TestGuest; first: Vcpu; added: Vcpu }> {
  const guest = new TestGuest(host, 'watch', 4)
  for (const vcpu of guest.vcpus) vcpu.set('TB_OFFSET', 5n << 40n)
  await run(guest)
  const [first] = guest.vcpus
  if (first === undefined) throw new Error('no vCPU')
  return { guest, first, added: guest.addVcpu() }
}

function backwardSteps(guest: TestGuest): bigint[] {
  return guest.vcpus.map((_, vcpu) => guest.watched(vcpu).backwardSteps)
}

it('a fifth vCPU that inherits before it runs reads the time that the other four read', async () => {
  const { guest, first, added } = await withFifth()
  using running = guest
  expect(running.vcpus).toHaveLength(5)
  expect(inheritTimebase(first, added).offset).toBe(5n << 40n)
  const { began, ended } = await run(guest)
  for (let vcpu = 0; vcpu < 5; vcpu++) {
    expect(readsGuestTime(guest, vcpu, began, ended), `vCPU ${vcpu}`).toBe(true)
  }
  expect(backwardSteps(guest)).toEqual([0n, 0n, 0n, 0n, 0n])
})

it('a fifth vCPU that runs before reads another time, and on nested v2 the other four do then', async () => {
  const { guest, first, added } = await withFifth()
  using running = guest
  expect(running.vcpus).toHaveLength(5)
  await run(guest)
  const without = await run(guest)
  expect(readsGuestTime(guest, 4, without.began, without.ended)).toBe(false)
  const isLost = kvmKind(host) === 'nested-v2'
  for (let vcpu = 0; vcpu < 4; vcpu++) {
    expect(readsGuestTime(guest, vcpu, without.began, without.ended)).toBe(!isLost)
  }
  expect(
    backwardSteps(guest)
      .slice(0, 4)
      .every((steps) => steps > 0n),
  ).toBe(isLost)
  // The registers do not show it.
  expect(new Set(guest.vcpus.slice(0, 4).map((vcpu) => vcpu.get('TB_OFFSET')))).toEqual(
    new Set([5n << 40n]),
  )
  inheritTimebase(first, added)
  await run(guest)
  const { began, ended } = await run(guest)
  for (let vcpu = 0; vcpu < 5; vcpu++) {
    expect(readsGuestTime(guest, vcpu, began, ended), `vCPU ${vcpu}`).toBe(true)
  }
})
