// The tests of controller.ts. Time stands still but where a test lets it pass, and the connections are those
// of this machine. The vCPUs are the software model's on any machine, and those of real KVM on a POWER host:
//
//     npx vitest run examples/controller

import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { assertGuestGoesOn, hostPair, ticksToDecrementer } from 'kvm-ppc-onereg/testing'
import type { HostPair, HostPairOptions, TestHost } from 'kvm-ppc-onereg/testing'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { receive, send, UnknownWhereItRuns } from './controller.ts'
import { Guest } from './guest.ts'
import { Metrics } from './metrics.ts'
import { Wire } from './wire.ts'

const SECOND = 1_000_000_000n
const TICKS_PER_SECOND = 512_000_000n
/** Half of the smallest step that an offset can make. */
const ROUNDING = 2n ** 23n

/**
 * The calls that are made to fail, by their numbers: all of them, but on a POWER host only every 101st and the last
 * ones, which are those for the timebase. A move takes an emulated processor some tenths of a second.
 */
function tried(calls: number): number[] {
  const numbers = [...Array(calls).keys()]
  if (process.arch !== 'ppc64') return numbers
  return numbers.filter((number) => number % 101 === 0 || number >= calls - 24)
}

let pair: HostPair
let metrics: Metrics
const sockets: Socket[] = []

function newPair(options: HostPairOptions = {}): void {
  pair[Symbol.dispose]()
  pair = hostPair(options)
}

beforeEach(() => {
  pair = hostPair()
  metrics = new Metrics()
})

afterEach(() => {
  metrics.close()
  for (const socket of sockets.splice(0)) socket.destroy()
  pair[Symbol.dispose]()
})

/** The two ends of a connection. */
async function connection(): Promise<{ here: Socket; there: Socket }> {
  const server = createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const here = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
  const [there] = (await once(server, 'connection')) as [Socket]
  server.close()
  sockets.push(here, there)
  return { here, there }
}

/** A guest on the source with something in its registers and its timers. */
function boot(vcpus = 2, host: TestHost = pair.source): Guest {
  const guest = Guest.boot(host, vcpus)
  for (const vcpu of guest.vcpus) {
    const id = BigInt(vcpu.id)
    vcpu.write({ TB_OFFSET: 5n << 24n, DAR: 0x1000n + id, DSISR: 7 + vcpu.id })
    vcpu.set('VR0', new Uint8Array(16).fill(vcpu.id + 1))
    vcpu.set('DEC_EXPIRY', host.timebase() + (5n << 24n) + 3600n * TICKS_PER_SECOND)
  }
  return guest
}

/** Checks that a guest has on its vCPUs what {@link boot} put there. */
function expectRegisters({ vcpus }: Guest): void {
  for (const vcpu of vcpus.slice(0, 2)) {
    expect(vcpu.read(['DAR', 'DSISR', 'VR0'])).toEqual({
      DAR: 0x1000n + BigInt(vcpu.id),
      DSISR: 7 + vcpu.id,
      VR0: new Uint8Array(16).fill(vcpu.id + 1),
    })
  }
}

/** Moves a guest to a host. What each side ended with is returned. */
async function move(guest: Guest, to: TestHost = pair.destination) {
  const { here, there } = await connection()
  const [sent, received] = await Promise.allSettled([send(guest, here), receive(to, there)])
  return { sent, received }
}

async function moved(guest: Guest, to?: TestHost): Promise<Guest> {
  const { sent, received } = await move(guest, to)
  if (sent.status === 'rejected') throw sent.reason
  if (received.status === 'rejected') throw received.reason
  return received.value
}

/** Checks that a move failed, and that the guest runs at the source as before. */
async function expectRefused(guest: Guest, reason: RegExp): Promise<void> {
  const before = assertGuestGoesOn(guest.vcpus, 0n)
  const { sent, received } = await move(guest)
  expect(sent).toMatchObject({ status: 'rejected' })
  expect(String((sent as PromiseRejectedResult).reason)).toMatch(reason)
  expect(received.status).toBe('rejected')
  expect(guest.running).toBe(true)
  expectRegisters(guest)
  expect(assertGuestGoesOn(guest.vcpus, before)).toBe(before)
}

describe('a guest that moves', () => {
  it('has its registers, its timers and the time that passed', async () => {
    const guest = boot()
    const before = assertGuestGoesOn(guest.vcpus, 0n)
    const expiries = guest.watch().map(({ expiry }) => expiry)
    const { here, there } = await connection()
    const sending = send(guest, here)
    // The state is on its way, and the destination has not begun.
    pair.time.pass(2n * SECOND)
    const there2 = await receive(pair.destination, there)
    await sending

    expect([guest.running, there2.running]).toEqual([false, true])
    expectRegisters(there2)
    const error = assertGuestGoesOn(there2.vcpus, before) - before - 2n * TICKS_PER_SECOND
    expect(error).toBeGreaterThanOrEqual(-ROUNDING)
    expect(error).toBeLessThanOrEqual(ROUNDING)
    expect(there2.watch().map(({ expiry }) => expiry)).toEqual(expiries)
    expect(metrics).toMatchObject({ saves: 1, loads: 1, longestPauseNs: 2n * SECOND })
    expect(metrics.failures.size).toBe(0)
  })

  it('comes back, with a vCPU that was plugged in meanwhile', async () => {
    const away = await moved(boot())
    away.plug()
    const before = assertGuestGoesOn(away.vcpus, 0n)
    const home = await moved(away, pair.source)
    expect(home.vcpus.map(({ id }) => id)).toEqual([0, 1, 2])
    assertGuestGoesOn(home.vcpus, before)
    expectRegisters(home)
    expect(metrics).toMatchObject({ saves: 2, loads: 2, plugged: 1 })
  })
})

describe('a guest runs on at the source', () => {
  it("if the destination's clock is 30 s behind", async () => {
    const { destination } = pair
    destination.clock.setTimeOfDay(destination.sample().timeOfDayNs - 30n * SECOND)
    await expectRefused(boot(), /wall clock is 30000000000 ns behind/)
  })

  it("if the destination's clock is an hour ahead", async () => {
    const { destination } = pair
    destination.clock.setTimeOfDay(destination.sample().timeOfDayNs + 3600n * SECOND)
    await expectRefused(boot(), /away for 3600000000000 ns, which is too long/)
  })

  it('if the destination lacks a register', async () => {
    newPair({ destination: { without: ['DAR'] } })
    await expectRefused(boot(), /does not hold what was in DAR/)
  })

  it('if the destination is cut off before it was told to run the guest', async () => {
    const guest = boot()
    const { here, there } = await connection()
    const sending = send(guest, here)
    const wire = new Wire(there, 10_000)
    await wire.receive()
    there.destroy()
    await expect(sending).rejects.toThrow('without an answer')
    expect(guest.running).toBe(true)
    expectRegisters(guest)
  })

  it('if the destination is silent', async () => {
    const guest = boot()
    const { here } = await connection()
    await expect(send(guest, here, { silenceMs: 20 })).rejects.toThrow('without an answer')
    expect(guest.running).toBe(true)
  })

  it('with timers that fire at once, if they fell due meanwhile', async () => {
    const guest = boot()
    const [vcpu] = guest.vcpus
    if (vcpu === undefined) throw new Error('boot() makes two vCPUs')
    vcpu.set('DEC_EXPIRY', vcpu.host.timebase() + vcpu.get('TB_OFFSET'))
    const { here, there } = await connection()
    const sending = send(guest, here)
    pair.time.pass(5n * SECOND)
    expect(ticksToDecrementer(vcpu)).toBeGreaterThan(0n)
    there.destroy()
    await expect(sending).rejects.toThrow('without an answer')
    expect(ticksToDecrementer(vcpu)).toBe(0n)
  })
})

describe('a destination', () => {
  it('does not run a guest that the source keeps', async () => {
    const guest = boot()
    guest.pause()
    const { here, there } = await connection()
    const wire = new Wire(here, 10_000)
    const receiving = receive(pair.destination, there)
    wire.send({ guest: guest.save() })
    expect(await wire.receive()).toEqual({ loaded: true })
    here.destroy()
    await expect(receiving).rejects.toThrow('without an answer')
  })

  it.each([['{}'], ['{"format":"kvm-ppc-onereg/one-reg","version":2}']])(
    'refuses %s',
    async (text) => {
      const { here, there } = await connection()
      const wire = new Wire(here, 10_000)
      const receiving = receive(pair.destination, there)
      wire.send({ guest: text })
      await expect(receiving).rejects.toMatchObject({
        code: expect.stringMatching(/^ERR_STATE_/) as unknown,
      })
      expect(await wire.receive()).toHaveProperty('refused')
    },
  )
})

it('a guest runs on neither host if the destination does not confirm that it runs', async () => {
  const guest = boot()
  const { here, there } = await connection()
  const sending = send(guest, here)
  const wire = new Wire(there, 10_000)
  await wire.receive()
  wire.send({ loaded: true })
  expect(await wire.receive()).toEqual({ run: true })
  there.destroy()
  await expect(sending).rejects.toThrow(UnknownWhereItRuns)
  expect(guest.running).toBe(false)
})

describe('whichever call to the kernel fails', { timeout: 300_000 }, () => {
  it.each(['source', 'destination'] as const)('on the %s, the guest runs once', async (side) => {
    const { kernel } = pair[side]
    // Once without a failure, to count the calls.
    const trial = boot(1)
    const callsBefore = kernel.calls
    const result = await moved(trial)
    const calls = kernel.calls - callsBefore
    result.close()
    expect(calls).toBeGreaterThan(300)

    let guest = boot(1)
    let refused = 0
    const numbers = tried(calls)
    for (const skip of numbers) {
      const before = assertGuestGoesOn(guest.vcpus, 0n)
      kernel.fail({ errno: 'EIO', skip })
      const { sent, received } = await move(guest)
      kernel.clearFaults()
      if (sent.status === 'fulfilled') {
        // The call that failed was the close of a vCPU, or one that the move does not need.
        expect([skip, received.status]).toEqual([skip, 'fulfilled'])
        if (received.status === 'fulfilled') {
          expectRegisters(received.value)
          assertGuestGoesOn(received.value.vcpus, before)
          received.value.close()
        }
        guest = boot(1)
        continue
      }
      refused++
      expect([skip, guest.running, received.status]).toEqual([skip, true, 'rejected'])
      expectRegisters(guest)
      assertGuestGoesOn(guest.vcpus, before)
    }
    expect(refused).toBeGreaterThan(numbers.length / 2)
  })
})
