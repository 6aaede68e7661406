import { setTimeout as wait } from 'node:timers/promises'
import { afterAll, describe, expect, it } from 'vitest'
import { NativeKernel } from '../../../lib/kernel/native.ts'
import { Host } from '../../../lib/kvm/host.ts'
import { ahead } from '../../../lib/verify/trial.ts'
import { TestGuest } from './index.ts'

const host = new Host(new NativeKernel())

afterAll(() => {
  host.close()
})

/** The longest that an aligned load waits, less a little for the call of start. */
const LONGEST_TICKS = 1n << 24n

async function untilAllHaveRead(guest: TestGuest): Promise<void> {
  while (guest.vcpus.some((_, vcpu) => guest.watched(vcpu).first === undefined)) await wait(1)
}

describe('a guest that starts at a timebase', () => {
  it('reads nothing below it', async () => {
    using guest = new TestGuest(host, 'watch', 3)
    // The first start makes the threads and maps the memory, which takes longer than the wait.
    guest.start()
    await untilAllHaveRead(guest)
    guest.stop()
    for (let round = 0; round < 20; round++) {
      const now = host.timebase()
      guest.noteNextStep(now)
      const at = now + LONGEST_TICKS
      guest.start(at)
      await untilAllHaveRead(guest)
      guest.stop()
      for (const vcpu of guest.vcpus.keys()) {
        expect(ahead(guest.watched(vcpu).first ?? 0n, at)).toBeGreaterThanOrEqual(0n)
      }
    }
  })

  it('starts at once if that has passed, also if it wraps in between', async () => {
    for (const since of [1n, 1n << 62n]) {
      using guest = new TestGuest(host, 'watch', 1)
      guest.start(BigInt.asUintN(64, host.timebase() - since))
      await untilAllHaveRead(guest)
    }
  })

  it('can be stopped, and closed, before it is reached', () => {
    using guest = new TestGuest(host, 'watch', 2)
    // On a busy machine the instant may come before the stop: then it is tried again.
    const isStoppedBefore = () => {
      const at = host.timebase() + LONGEST_TICKS
      guest.start(at)
      guest.stop()
      return ahead(host.timebase(), at) < 0n
    }
    let tries = 1
    while (!isStoppedBefore() && tries < 100) tries++
    expect(tries).toBeLessThan(100)
    guest.start(host.timebase() + LONGEST_TICKS)
  })

  it('refuses one that no aligned load waits for', () => {
    using guest = new TestGuest(host, 'watch', 1)
    expect(() => {
      guest.start(host.timebase() + 4n * LONGEST_TICKS)
    }).toThrow('too far ahead')
    for (const at of [1, -1n, 1n << 64n, null, '1']) {
      expect(() => {
        guest.start(at as never)
      }).toThrow(TypeError)
    }
    expect(guest.watched(0).reads).toBe(0n)
  })
})
