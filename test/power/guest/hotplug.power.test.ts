import { setTimeout as wait } from 'node:timers/promises'
import { afterAll, expect, it } from 'vitest'
import { Host } from '../../../lib/kvm/host.ts'
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

async function run(guest: TestGuest): Promise<{ began: bigint; ended: bigint }> {
  const began = host.timebase()
  guest.noteNextStep(0n)
  guest.start()
  while (guest.vcpus.some((_, vcpu) => guest.watched(vcpu).step === undefined)) await wait(1)
  guest.stop()
  return { began, ended: host.timebase() }
}

it('a fifth vCPU that inherits reads the time that the other four read', async () => {
  using guest = new TestGuest(host, 'watch', 4)
  for (const vcpu of guest.vcpus) vcpu.set('TB_OFFSET', 5n << 40n)
  await run(guest)
  const [first] = guest.vcpus
  const added = guest.addVcpu()
  if (first === undefined) throw new Error('no vCPU')

  const without = await run(guest)
  expect(readsGuestTime(guest, 0, without.began, without.ended)).toBe(true)
  expect(readsGuestTime(guest, 4, without.began, without.ended)).toBe(false)

  expect(inheritTimebase(first, added).offset).toBe(5n << 40n)
  const { began, ended } = await run(guest)
  for (let vcpu = 0; vcpu < 5; vcpu++) {
    expect(readsGuestTime(guest, vcpu, began, ended), `vCPU ${vcpu}`).toBe(true)
  }
})
