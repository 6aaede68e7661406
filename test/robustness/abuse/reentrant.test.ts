import { createContext, runInContext } from 'node:vm'
import { beforeEach, describe, expect, it, vi } from 'vitest'
import type { OneRegBatch } from '../../../lib/kernel/batch.ts'
import { NativeKernel } from '../../../lib/kernel/native.ts'
import { LastRegister } from '../../../lib/kvm/last-register.ts'
import { KvmSystem } from '../../../lib/kvm/system.ts'
import { inheritTimebase } from '../../../lib/timebase/inherit.ts'
import { loadTimebase } from '../../../lib/timebase/load.ts'
import { saveTimebase } from '../../../lib/timebase/save.ts'
import { registers } from '../../../lib/registers.ts'
import { serializeTimebase } from '../../../lib/timebase/state.ts'
import type { TimebaseState } from '../../../lib/timebase/state.ts'
import { planTimebase } from '../../../lib/timebase/plan.ts'
import { hostPair } from '../../../lib/testing/host-pair.ts'
import type { HostPair } from '../../../lib/testing/host-pair.ts'
import type { TestHost } from '../../../lib/testing/test-host.ts'
import type { Vcpu } from '../../../lib/kvm/vcpu.ts'
import { addonLacks, describeUnless } from '../../support/lacking.ts'

// Reading an argument may run the caller's code, in a getter or a proxy. Whatever that code does, no call may
// use a descriptor that was closed, and no value may be written to another register.

/** Replaces a property so that reading it runs some code first. */
type Trap = <T extends object>(object: T, key: keyof T) => T

interface Guests {
  readonly vcpus: readonly [Vcpu, Vcpu]
  readonly others: readonly [Vcpu, Vcpu]
  readonly state: TimebaseState
}

/** A call with something in it that it reads, and what can be seen of it. */
type Call = (guests: Guests, trap: Trap) => unknown

const calls: Readonly<Record<string, Call>> = {
  'read, names': ({ vcpus }, trap) => vcpus[0].read(trap(['AMR', 'DSCR'], 1)),
  'readAsync, names': ({ vcpus }, trap) => vcpus[0].readAsync(trap(['AMR', 'DSCR'], 1)),
  'readAsync, options': ({ vcpus }, trap) =>
    vcpus[0].readAsync(['AMR'], trap({ signal: new AbortController().signal }, 'signal')),
  'bind, names': ({ vcpus }, trap) => {
    const bound = vcpus[0].bind(trap(['AMR', 'DSCR'], 1))
    bound.read()
    return [bound.names, bound.get('AMR'), bound.get('DSCR')]
  },
  'write, values': ({ vcpus }, trap) => {
    vcpus[0].write(trap({ AMR: 0x33n, DSCR: 0x44n }, 'DSCR'))
    return vcpus[0].read(['AMR', 'DSCR'])
  },
  'writeAsync, values': async ({ vcpus }, trap) => {
    await vcpus[0].writeAsync(trap({ AMR: 0x33n, DSCR: 0x44n }, 'DSCR'))
    return vcpus[0].read(['AMR', 'DSCR'])
  },
  'restore, snapshot': ({ vcpus }, trap) => [
    vcpus[0].restore(trap({ AMR: 0x33n, DSCR: 0x44n }, 'DSCR')),
    vcpus[0].read(['AMR', 'DSCR']),
  ],
  'restore, options': ({ vcpus }, trap) => [
    vcpus[0].restore({ AMR: 0x33n }, trap({ timebase: false }, 'timebase')),
    vcpus[0].get('AMR'),
  ],
  'saveTimebase, vcpus': ({ vcpus }, trap) => saveTimebase(trap([...vcpus], 1)),
  'loadTimebase, vcpus': ({ vcpus, state }, trap) => [
    loadTimebase(trap([...vcpus], 1), state),
    saveTimebase(vcpus),
  ],
  'loadTimebase, state': ({ vcpus, state }, trap) => [
    loadTimebase(vcpus, trap({ ...state }, 'guestTimebase')),
    saveTimebase(vcpus),
  ],
  'loadTimebase, state.vcpus': ({ vcpus, state }, trap) => [
    loadTimebase(vcpus, { ...state, vcpus: trap([...state.vcpus], 1) }),
    saveTimebase(vcpus),
  ],
  'loadTimebase, state.vcpus[1].decExpiry': ({ vcpus, state }, trap) => {
    const [first = { id: 0 }, second = { id: 1 }] = state.vcpus
    const timers = [first, trap({ ...second }, 'decExpiry')]
    return [loadTimebase(vcpus, { ...state, vcpus: timers }), saveTimebase(vcpus)]
  },
  'loadTimebase, options': ({ vcpus, state }, trap) => [
    loadTimebase(vcpus, state, trap({ maxDowntimeNs: 10_000_000_000n }, 'maxDowntimeNs')),
    saveTimebase(vcpus),
  ],
  'planTimebase, state': ({ state }, trap) => {
    const sample = { ...state, timebase: 5n }
    return planTimebase(trap({ ...state }, 'guestTimebase'), sample)
  },
  'planTimebase, sample': ({ state }, trap) =>
    planTimebase(state, trap({ ...state, timebase: 5n }, 'timebase')),
  'serializeTimebase, state': ({ state }, trap) => serializeTimebase(trap({ ...state }, 'offset')),
}

/** Two guests of two vCPUs on one host, all of them different, and what was saved of another. */
function setUp({ source, destination, time }: HostPair): Guests {
  const saved = vcpusOn(source)
  inheritTimebase(saved[0], saved[1])
  saved.forEach((vcpu, index) => {
    vcpu.write({ DEC_EXPIRY: 0x5000n + BigInt(index), PURR: 0x6000n, SPURR: 0x7000n })
  })
  const state = saveTimebase(saved)
  time.pass(1_000_000_000n)
  const [vcpus, others] = [vcpusOn(destination), vcpusOn(destination)]
  for (const vcpu of vcpus) vcpu.write({ AMR: 0x11n, DSCR: 0x22n, VR0: new Uint8Array(16) })
  for (const vcpu of others) vcpu.write({ AMR: 0x55n, DSCR: 0x66n, TB_OFFSET: 5n << 24n })
  return { vcpus, others, state }
}

function vcpusOn(host: TestHost): readonly [Vcpu, Vcpu] {
  const vm = host.createVm()
  return [vm.createVcpu(0), vm.createVcpu(1)]
}

/** Uses all the memory that calls share, with values of another guest. */
function useAll({ others, state }: Guests): void {
  others[0].write({ AMR: 0x77n, DSCR: 0x88n })
  others[0].read(['DSCR', 'AMR'])
  others[1].get('AMR')
  loadTimebase(others, { ...state, guestTimebase: 99n, vcpus: saveTimebase(others).vcpus })
}

const pass: Trap = (object) => object

/** A trap that gives one value after the other, and what its getter does besides. */
function trapOf(values: (held: unknown, turn: number) => unknown): Trap {
  return (object, key) => {
    const held: unknown = object[key]
    let turn = 0
    const get = () => values(held, turn++)
    return Object.defineProperty(object, key, { get, enumerable: true, configurable: true })
  }
}

const bytesOf = (length: number) => new Uint8Array(length).fill(7)

/** What comes of it, a thrown error included. */
async function outcome(call: Call, guests: Guests, trap: Trap): Promise<unknown> {
  try {
    return await call(guests, trap)
  } catch (error) {
    return error
  }
}

describe.each(Object.entries(calls))('%s: code that runs when it is read', (_, call) => {
  let pair: HostPair
  let guests: Guests
  /** The result of the call without interference. */
  let undisturbed: unknown

  beforeEach(async () => {
    using first = hostPair()
    undisturbed = await call(setUp(first), pass)
    pair = hostPair()
    guests = setUp(pair)
    return () => {
      pair[Symbol.dispose]()
    }
  })

  it('may throw', async () => {
    const error = new Error('by a getter')
    const calls = watch(pair.destination)
    const trap = trapOf(() => {
      throw error
    })
    const came = await outcome(call, guests, trap)
    expect(came).toBe(error)
    expect(calls.written).toBe(0)
  })

  it('may call for another guest', async () => {
    const trap = trapOf((held) => {
      useAll(guests)
      return held
    })
    expect(await outcome(call, guests, trap)).toEqual(undisturbed)
    expect(guests.others[0].read(['AMR', 'DSCR'])).toEqual({ AMR: 0x77n, DSCR: 0x88n })
  })

  it.each<[string, (guests: Guests) => void]>([
    [
      'the vCPU',
      ({ vcpus }) => {
        vcpus[0].close()
      },
    ],
    ['the VM', ({ vcpus }) => vcpus[0].vm?.close()],
    [
      'the host',
      ({ vcpus }) => {
        vcpus[0].host.close()
      },
    ],
  ])('may close %s', async (_, close) => {
    const calls = watch(pair.destination)
    const trap = trapOf((held) => {
      close(guests)
      return held
    })
    const came = await outcome(call, guests, trap)
    expect(calls.stale).toEqual([])
    if (came instanceof Error) expect(came).toMatchObject({ code: 'ERR_KVM_CLOSED' })
    else expect(came).toEqual(undisturbed)
  })

  it('may give something else the second time', async () => {
    const trap = trapOf((held, turn) => (turn === 0 ? held : 'something else'))
    expect(await outcome(call, guests, trap)).toEqual(undisturbed)
  })
})

/** Counts the writes of a host, and notes calls to descriptors that it has closed. */
function watch({ kernel }: TestHost): { written: number; stale: number[] } {
  const calls = { written: 0, stale: [] as number[] }
  const closed = new Set<number>()
  const close = kernel.close.bind(kernel)
  kernel.close = (fd) => {
    closed.add(fd)
    return close(fd)
  }
  const watched =
    (call: (batch: OneRegBatch) => number, isWrite: boolean) => (batch: OneRegBatch) => {
      const fds = batch.fds.subarray(0, batch.used)
      calls.stale.push(...fds.filter((fd) => closed.has(fd)))
      if (isWrite) calls.written += fds.length
      return call(batch)
    }
  kernel.getOneRegs = watched(kernel.getOneRegs.bind(kernel), false)
  kernel.setOneRegs = watched(kernel.setOneRegs.bind(kernel), true)
  return calls
}

describe("a kernel that makes other calls during each call, as an ObservedKernel's function may", () => {
  const wide = new Uint8Array(16).fill(3)
  const more: Readonly<Record<string, (guests: Guests) => unknown>> = {
    get: ({ vcpus }) => [vcpus[0].get('AMR'), vcpus[0].get('DSCR')],
    'get of 128 bits': ({ vcpus }) => vcpus[0].get('VR0'),
    has: ({ vcpus }) => [vcpus[0].has('AMR'), vcpus[0].has('MAS0')],
    set: ({ vcpus }) => {
      vcpus[0].set('AMR', 0x44n)
      vcpus[1].set('VR0', wide)
      return [vcpus[0].get('AMR'), vcpus[1].get('VR0')]
    },
    snapshot: ({ vcpus }) => [vcpus[0].snapshot(), vcpus[1].snapshot()],
    snapshotAsync: ({ vcpus }) => vcpus[0].snapshotAsync(),
    'restore with verify': ({ vcpus }) => [
      vcpus[0].restore({ ...vcpus[0].snapshot(), VR0: wide, IAC1: 5n }, { verify: true }),
      vcpus[0].snapshot(),
    ],
    inheritTimebase: ({ vcpus }) => [inheritTimebase(...vcpus), saveTimebase(vcpus)],
    'saveTimebase again': ({ vcpus }) => [saveTimebase(vcpus), saveTimebase(vcpus)],
  }

  it.each(Object.entries({ ...calls, ...more }))('%s', async (name, call) => {
    using quiet = hostPair()
    const undisturbed = await call(setUp(quiet), pass)
    using pair = hostPair()
    const guests = setUp(pair)
    const made = disturb(pair.destination, () => {
      useAll(guests)
      guests.others[0].snapshot()
      guests.others[1].restore({ ...guests.others[1].snapshot(), AMR: 0x99n }, { verify: true })
      saveTimebase(guests.others)
    })
    expect(await call(guests, pass)).toEqual(undisturbed)
    // The others are computed from what was saved, without a call.
    if (!/^(plan|serialize)/.test(name)) expect(made.calls).toBeGreaterThan(0)
  })
})

describeUnless(addonLacks, 'the memory for a call for one register', () => {
  /** Of a system without a device, which only KVM has. */
  const selectTwice = (kernel: NativeKernel) => {
    const system = Object.create(KvmSystem.prototype, {
      kernel: { value: kernel },
      last: { value: new LastRegister(), writable: true },
    }) as KvmSystem
    return [system.select({} as never, 1, 'AMR'), system.select({} as never, 1, 'DSCR')] as const
  }

  it('is the same with the real kernel', () => {
    const [first, second] = selectTwice(new NativeKernel())
    expect(second).toBe(first)
  })

  it('is its own with a kernel made from it, which may run any code', () => {
    const [first, second] = selectTwice(new (class extends NativeKernel {})())
    expect(second).not.toBe(first)
    expect([first.name, second.name]).toEqual(['AMR', 'DSCR'])
  })
})

/** Has a function called before and after each batch of calls of a host, but not within itself. */
function disturb({ kernel }: TestHost, disturbance: () => void): { calls: number } {
  const made = { calls: 0 }
  let isDisturbing = false
  const once = () => {
    if (isDisturbing) return
    isDisturbing = true
    made.calls++
    disturbance()
    isDisturbing = false
  }
  const disturbed = (call: (batch: OneRegBatch) => number) => (batch: OneRegBatch) => {
    once()
    const result = call(batch)
    once()
    return result
  }
  const disturbedAsync =
    (call: (batch: OneRegBatch) => Promise<number>) => async (batch: OneRegBatch) => {
      once()
      const result = await call(batch)
      once()
      return result
    }
  kernel.getOneRegs = disturbed(kernel.getOneRegs.bind(kernel))
  kernel.setOneRegs = disturbed(kernel.setOneRegs.bind(kernel))
  kernel.getOneRegsAsync = disturbedAsync(kernel.getOneRegsAsync.bind(kernel))
  kernel.setOneRegsAsync = disturbedAsync(kernel.setOneRegsAsync.bind(kernel))
  return made
}

it('the length of bytes is not what a property of their own says', () => {
  using pair = hostPair()
  const [vcpu] = vcpusOn(pair.source)
  const lying = (length: number) =>
    Object.defineProperty(bytesOf(length), 'byteLength', { get: lie })
  const lie = vi.fn(() => 16)
  vcpu.set('VR0', lying(16))
  expect(vcpu.get('VR0')).toEqual(bytesOf(16))
  for (const length of [0, 8, 15, 17]) {
    const refusal = expect.objectContaining({ code: 'ERR_OUT_OF_RANGE' }) as Error
    expect(() => {
      vcpu.set('VR0', lying(length))
    }).toThrow(refusal)
    expect(() => {
      vcpu.setRaw(registers.VR0.id, lying(length))
    }).toThrow(refusal)
  }
  expect(lie).not.toHaveBeenCalled()
})

it('an array that is longer than memory has room for is refused', () => {
  using pair = hostPair()
  const vcpus = vcpusOn(pair.source)
  const state = saveTimebase(vcpus)
  const long = new Array<never>(2 ** 32 - 1)
  const refused = [
    () => vcpus[0].read(long),
    () => vcpus[0].bind(long),
    () => saveTimebase(long),
    () => loadTimebase(long, state),
    () => loadTimebase(vcpus, { ...state, vcpus: long }),
  ]
  for (const call of refused) {
    expect(call).toThrow(expect.objectContaining({ code: 'ERR_OUT_OF_RANGE' }) as Error)
  }
})

it('bytes and arrays may be those of another realm', () => {
  using pair = hostPair()
  const vcpus = vcpusOn(pair.source)
  const realm = createContext({ vcpus })
  const there = (code: string): unknown => runInContext(code, realm)
  vcpus[0].set('VR0', there('new Uint8Array(16).fill(7)') as Uint8Array)
  expect(vcpus[0].get('VR0')).toEqual(bytesOf(16))
  const names = there("['TB_OFFSET', 'VR0']") as ['TB_OFFSET', 'VR0']
  expect(vcpus[0].read(names)).toEqual({ TB_OFFSET: 0n, VR0: bytesOf(16) })
  const state = saveTimebase(there('[...vcpus]') as Vcpu[])
  realm['text'] = serializeTimebase(state)
  const copy = { ...state, vcpus: there('JSON.parse(text).vcpus.map(({ id }) => ({ id }))') as [] }
  expect(loadTimebase(vcpus, copy).skipped).toEqual([])
})

describe('a signal that is none', () => {
  it('is refused before the call', () => {
    using pair = hostPair()
    const [vcpu] = vcpusOn(pair.source)
    const calls = watch(pair.source)
    const signal = { aborted: false } as never
    return expect(vcpu.setAsync('AMR', 1n, { signal }))
      .rejects.toThrow(/^options\.signal must be an AbortSignal/)
      .then(() => {
        expect(calls).toEqual({ written: 0, stale: [] })
      })
  })
})
