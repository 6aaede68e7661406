import { AssertionError } from 'node:assert'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { AsyncOptions } from '../../lib/kvm/async-options.ts'
import type { Host } from '../../lib/kvm/host.ts'
import type { Vcpu } from '../../lib/kvm/vcpu.ts'
import { hostPair } from '../../lib/testing/index.ts'
import type { HostPairOptions, TestHost } from '../../lib/testing/index.ts'
import { inheritTimebase, inheritTimebaseAsync } from '../../lib/timebase/inherit.ts'
import { loadTimebase } from '../../lib/timebase/load.ts'
import { saveTimebase, saveTimebaseAsync } from '../../lib/timebase/save.ts'
import { caught } from '../support/caught.ts'
import { STEP, SECOND } from '../support/host-pair.ts'

// On POWER the vCPUs of these hosts are real KVM's.

interface Guest {
  readonly host: TestHost
  readonly pass: (ns: bigint) => void
  readonly vcpus: readonly [Vcpu, Vcpu]
  readonly plugged: Vcpu
}

function guest(options: HostPairOptions = {}): Guest {
  const pair = hostPair(options)
  onTestFinished(() => {
    pair[Symbol.dispose]()
  })
  const host = pair.source
  const vm = host.createVm()
  const vcpus = [vm.createVcpu(0), vm.createVcpu(1)] as const
  for (const vcpu of vcpus) vcpu.set('TB_OFFSET', 7n * STEP)
  return {
    host,
    pass: (ns) => {
      pair.time.pass(ns)
    },
    vcpus,
    plugged: vm.createVcpu(2),
  }
}

/** Long enough for a call off the thread, if it does not wait. */
async function aWhile(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await nextTurn()
}

async function isPending(promise: Promise<unknown>): Promise<boolean> {
  let settled = false
  const settle = (): void => {
    settled = true
  }
  promise.then(settle, settle)
  await aWhile()
  return !settled
}

const blocking: Record<string, (guest: Guest) => unknown> = {
  get: ({ vcpus }) => vcpus[1].get('DAR'),
  set: ({ vcpus }) => {
    vcpus[1].set('DAR', 1n)
  },
  getRaw: ({ vcpus }) => vcpus[1].getRaw(0x103000000000000cn),
  setRaw: ({ vcpus }) => {
    vcpus[1].setRaw(0x103000000000000cn, new Uint8Array(8))
  },
  'a bound read': ({ vcpus }) => {
    vcpus[1].bind(['DAR']).read()
  },
  snapshot: ({ vcpus }) => vcpus[1].snapshot(),
  restore: ({ vcpus }) => vcpus[1].restore({ DAR: 1n }),
  saveTimebase: ({ vcpus }) => saveTimebase(vcpus),
  inheritTimebase: ({ vcpus, plugged }) => inheritTimebase(vcpus[1], plugged),
}

const waiting: Record<string, (guest: Guest, options?: AsyncOptions) => Promise<unknown>> = {
  getAsync: ({ vcpus }, options) => vcpus[1].getAsync('DAR', options),
  setAsync: ({ vcpus }, options) => vcpus[1].setAsync('DAR', 1n, options),
  snapshotAsync: ({ vcpus }, options) => vcpus[1].snapshotAsync(options),
  restoreAsync: ({ vcpus }, options) => vcpus[1].restoreAsync({ DAR: 1n }, options),
  'readAsync of bound registers': ({ vcpus }, options) => vcpus[1].bind(['DAR']).readAsync(options),
  'writeAsync of bound registers': ({ vcpus }, options) =>
    vcpus[1].bind(['DAR']).writeAsync(options),
  saveTimebaseAsync: ({ vcpus }, options) => saveTimebaseAsync(vcpus, options),
  inheritTimebaseAsync: ({ vcpus, plugged }, options) =>
    inheritTimebaseAsync(vcpus[1], plugged, options),
}

describe('while a vCPU runs', () => {
  it.each(Object.entries(blocking))('%s fails the test, and says why', (_name, call) => {
    const made = guest()
    const running = made.host.run(made.vcpus[1])
    const { message } = caught(AssertionError, () => call(made))
    expect(message).toMatch(/^KVM_[GS]ET_ONE_REG on the vCPU of fd \d+ while it runs/)
    expect(message).toContain(`fd ${made.vcpus[1].fd} `)
    expect(message).toMatch(/Stop the vCPU first, or make the call that ends in Async$/)
    running.stop()
    running.stop()
    call(made)
  })

  it('its siblings can be read', () => {
    const { host, vcpus } = guest()
    using running = host.run(vcpus[1])
    expect(vcpus[0].get('TB_OFFSET')).toBe(7n * STEP)
    expect(running.stop).toBeTypeOf('function')
  })

  it.each(Object.entries(waiting))('%s waits', async (_name, call) => {
    const made = guest()
    const running = made.host.run(made.vcpus[1])
    const outcome = call(made)
    expect(await isPending(outcome)).toBe(true)
    running.stop()
    await outcome
  })

  it.each(Object.entries(waiting))('%s can be given up', async (_name, call) => {
    const made = guest()
    using running = made.host.run(made.vcpus[1])
    const controller = new AbortController()
    const outcome = call(made, { signal: controller.signal })
    expect(await isPending(outcome)).toBe(true)
    controller.abort()
    await expect(outcome).rejects.toMatchObject({ name: 'AbortError', code: 'ABORT_ERR' })
    running.stop()
    await aWhile()
    expect(made.vcpus[1].get('DAR')).toBeTypeOf('bigint')
  })

  it.each(Object.entries(waiting))('%s refuses what is not a signal', async (_name, call) => {
    const made = guest()
    for (const options of [{ signal: 5 }, { signals: undefined }, null]) {
      await expect(call(made, options as never)).rejects.toBeInstanceOf(TypeError)
    }
  })

  it('a save takes the sample when it has stopped', async () => {
    const { host, vcpus, pass } = guest()
    const running = host.run(vcpus[0])
    const saving = saveTimebaseAsync(vcpus)
    await aWhile()
    pass(SECOND)
    running.stop()
    expect(await saving).toEqual(saveTimebase(vcpus))
  })

  it('a save lets the calls behind it wait, and ends with the error of a vCPU that is closed', async () => {
    const { host, vcpus } = guest()
    const running = host.run(vcpus[0])
    const saving = saveTimebaseAsync(vcpus)
    const behind = vcpus[1].getAsync('DAR')
    expect(await isPending(behind)).toBe(true)
    vcpus[1].close()
    running.stop()
    await expect(saving).rejects.toMatchObject({ code: 'ERR_KVM_CLOSED' })
    await expect(behind).rejects.toMatchObject({ code: 'ERR_KVM_CLOSED' })
  })
})

describe('off the thread', () => {
  it('a save has the errors of a save', async () => {
    const { host, vcpus } = guest()
    await expect(saveTimebaseAsync([])).rejects.toMatchObject({ code: 'ERR_NO_VCPUS' })
    host.kernel.fail({ errno: 'EIO', operation: 'KVM_GET_ONE_REG' })
    await expect(saveTimebaseAsync(vcpus)).rejects.toMatchObject({ code: 'EIO', vcpu: 0 })
    vcpus[0].set('TB_OFFSET', 0n)
    await expect(saveTimebaseAsync(vcpus)).rejects.toMatchObject({ code: 'ERR_TIMEBASE_DIVERGED' })
  })

  it('two saves at once, of the same vCPUs in another order, both end', async () => {
    const { vcpus } = guest()
    const [one, other] = await Promise.all([
      saveTimebaseAsync(vcpus),
      saveTimebaseAsync([...vcpus].reverse()),
    ])
    expect(one.guestTimebase).toBe(other.guestTimebase)
  })

  it('a vCPU inherits as it does on the thread', async () => {
    const { vcpus, plugged } = guest()
    const outcome = await inheritTimebaseAsync(vcpus[0], plugged)
    expect(outcome.offset).toBe(7n * STEP)
    expect(plugged.get('TB_OFFSET')).toBe(7n * STEP)
    expect(plugged.get('DEC_EXPIRY')).toBe(outcome.guestTimebase)
  })

  it('inheriting has the errors of a load', async () => {
    const { host, vcpus, plugged } = guest()
    host.kernel.fail({ errno: 'EIO', operation: 'KVM_GET_ONE_REG' })
    await expect(inheritTimebaseAsync(vcpus[0], plugged)).rejects.toMatchObject({
      code: 'ERR_TIMEBASE_NOT_APPLIED',
      cause: { code: 'EIO' },
    })
    expect(plugged.get('TB_OFFSET')).toBe(0n)
  })

  it('a snapshot and a restore have the outcome of those on the thread', async () => {
    const { vcpus } = guest()
    const snapshot = await vcpus[0].snapshotAsync()
    expect(snapshot).toEqual(vcpus[0].snapshot())
    const values = { ...snapshot, DAR: 5n }
    const restoring = vcpus[1].restoreAsync(values, { verify: true })
    // Taken when it was called.
    values.DAR = 6n
    expect(await restoring).toEqual({ refused: [], changed: [] })
    expect(vcpus[1].get('DAR')).toBe(5n)
    await expect(vcpus[1].restoreAsync({ DAR: 1 } as never)).rejects.toBeInstanceOf(TypeError)
    await expect(vcpus[1].restoreAsync({}, { verfy: true } as never)).rejects.toThrow(/verfy/)
  })

  it('bound registers can be set while they are read and written', async () => {
    const { vcpus } = guest()
    const bound = vcpus[0].bind(['DAR', 'DSISR'])
    bound.set('DAR', 5n)
    const writing = bound.writeAsync()
    bound.set('DAR', 6n)
    await writing
    expect([vcpus[0].get('DAR'), bound.get('DAR')]).toEqual([5n, 6n])
    await bound.readAsync()
    expect(bound.get('DAR')).toBe(5n)
    vcpus[0].close()
    await expect(bound.readAsync()).rejects.toMatchObject({ code: 'ERR_KVM_CLOSED' })
  })
})

describe('a host without some registers', () => {
  it('says so to every call, on any kernel', async () => {
    const { host, vcpus } = guest({ source: { without: ['DEC_EXPIRY', 'DSCR'] } })
    const [vcpu] = vcpus
    expect([vcpu.has('DSCR'), vcpu.has('DAR')]).toEqual([false, true])
    expect(() => vcpu.getRaw(0x1030_0000_0000_000fn)).toBeDefined()
    for (const call of [
      () => vcpu.getAsync('DSCR'),
      () => vcpu.setAsync('DSCR', 0n),
      () => Promise.resolve().then(() => vcpu.get('DSCR')),
      () => Promise.resolve().then(() => vcpu.read(['DAR', 'DSCR'])),
    ]) {
      await expect(call()).rejects.toMatchObject({ code: 'EINVAL', register: 'DSCR' })
    }
    const snapshot = vcpu.snapshot()
    expect(snapshot).not.toHaveProperty('DSCR')
    expect(snapshot).toHaveProperty('DAR')
    expect(saveTimebase(vcpus).vcpus[0]).not.toHaveProperty('decExpiry')
    expect(host.closed).toBe(false)
  })

  it('leaves out what was saved, and says so', () => {
    const pair = hostPair({ destination: { without: ['VTB'] } })
    onTestFinished(() => {
      pair[Symbol.dispose]()
    })
    const on = (host: Host) => [host.createVm().createVcpu(0)]
    const state = saveTimebase(on(pair.source))
    expect(loadTimebase(on(pair.destination), state).skipped).toEqual([
      { vcpu: 0, register: 'VTB' },
    ])
  })
})
