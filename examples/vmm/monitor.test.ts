// A monitor's own tests, of monitor.ts. Time stands still but where a test lets it pass, so they are
// exact. The vCPUs are the software model's on any machine, and those of real KVM on a POWER host:
//
//     npx vitest run examples/vmm

import { assertGuestGoesOn, hostPair } from 'kvm-ppc-onereg/testing'
import type { HostPair } from 'kvm-ppc-onereg/testing'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { Guest, migrate } from './monitor.ts'

const SECOND = 1_000_000_000n
const HOUR = 3600n * SECOND
/** Of 512 MHz. */
const TICKS_PER_SECOND = 512_000_000n
/** Half of the smallest step that an offset can make. */
const ROUNDING = 2n ** 23n

let pair: HostPair

beforeEach(() => {
  pair = hostPair()
})

afterEach(() => {
  pair[Symbol.dispose]()
})

/** A wire that takes two seconds. */
function slowWire(text: string): Promise<string> {
  pair.time.pass(2n * SECOND)
  return Promise.resolve(text)
}

it('moves a guest whose clock goes on by the time that the wire took', async () => {
  const guest = Guest.boot(pair.source, 4)
  const before = assertGuestGoesOn(guest.vcpus, 0n)

  const moved = await migrate(guest, pair.destination, slowWire)

  const error = assertGuestGoesOn(moved.vcpus, before) - before - 2n * TICKS_PER_SECOND
  expect(error).toBeGreaterThanOrEqual(-ROUNDING)
  expect(error).toBeLessThanOrEqual(ROUNDING)
  expect([guest.running, moved.running]).toEqual([false, true])
})

it('gives a vCPU that is plugged in after a move the time of the others', async () => {
  const moved = await migrate(Guest.boot(pair.source, 2), pair.destination, slowWire)
  const before = assertGuestGoesOn(moved.vcpus, 0n)
  pair.time.pass(HOUR)

  moved.plug()

  expect(moved.vcpus).toHaveLength(3)
  assertGuestGoesOn(moved.vcpus, before + 3600n * TICKS_PER_SECOND)
})

it('never takes a guest back that goes to and fro, nor lets its errors add up', async () => {
  let guest = Guest.boot(pair.source, 2)
  const start = assertGuestGoesOn(guest.vcpus, 0n)
  let seen = start
  for (let moves = 1n; moves <= 10n; moves++) {
    const to = moves % 2n === 1n ? pair.destination : pair.source
    guest = await migrate(guest, to, slowWire)
    seen = assertGuestGoesOn(guest.vcpus, seen)
    const error = seen - start - 2n * moves * TICKS_PER_SECOND
    expect(error).toBeGreaterThanOrEqual(-ROUNDING)
    expect(error).toBeLessThanOrEqual(ROUNDING)
  }
})

it('keeps a guest whose clock would jump by an hour, since the hosts disagree', async () => {
  const { destination } = pair
  destination.clock.setTimeOfDay(destination.sample().timeOfDayNs + HOUR)
  const guest = Guest.boot(pair.source, 2)

  await expect(migrate(guest, destination, slowWire)).rejects.toMatchObject({
    code: 'ERR_TIMEBASE_DOWNTIME',
  })

  expect(guest.running).toBe(true)
})

it('keeps a guest, its clock untouched, whichever call fails on the other host', async () => {
  const { destination } = pair
  const { kernel } = destination
  const guest = Guest.boot(pair.source, 2)
  const before = assertGuestGoesOn(guest.vcpus, 0n)
  const callsBefore = kernel.calls
  const trial = Guest.receive(destination, guest.send())
  const calls = kernel.calls - callsBefore
  trial.close()
  expect(calls).toBeGreaterThan(10)

  for (let skip = 0; skip < calls; skip++) {
    kernel.fail({ errno: 'EIO', skip })
    await expect(migrate(guest, destination, slowWire), `call ${skip}`).rejects.toThrow('EIO')
    expect(guest.running).toBe(true)
  }

  const waited = 2n * BigInt(calls) * TICKS_PER_SECOND
  expect(assertGuestGoesOn(guest.vcpus, before)).toBe(before + waited)
})
