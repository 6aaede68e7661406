import { describe, expect, it } from 'vitest'
import type { ErrnoName } from '../lib/errno.ts'
import { KvmError, OneRegError, TimebaseNotAppliedError } from '../lib/errors.ts'
import type { NotRestored } from '../lib/errors.ts'
import { inheritTimebase, loadTimebase, saveTimebase } from '../lib/migration.ts'
import type { TimebaseState } from '../lib/state.ts'
import { caught } from './support/caught.ts'
import { emulated } from './support/emulated.ts'
import { HandMovedTime, PERIOD, registerOn, Side } from './support/hostPair.ts'
import { RecordingKernel, RelativeDecrementerKernel } from './support/kernels.ts'
import type { Call } from './support/kernels.ts'

const IDS = [0, 1, 2, 5]

/** What goes wrong with a call, as against a register that is not there: the model is the same on any processor. */
const errnos: readonly ErrnoName[] = emulated ? ['EIO'] : ['EIO', 'EINTR', 'ENOMEM', 'EBADF']

/** What the vCPUs hold before. */
const beginnings = ['values of their own', 'zeros'] as const
type Beginning = (typeof beginnings)[number]

function sideWith(beginning: Beginning, move: Move = 'load'): Side<RecordingKernel> {
  const { read: time } = new HandMovedTime()
  const kernel = new RecordingKernel({ time, timebase: 5_000_000_001n, timeOfDayNs: 1_000n })
  const side = new Side(kernel, IDS)
  if (beginning === 'zeros') {
    // An offset of 0 would be nothing to inherit.
    if (move === 'inherit') side.vcpu(1).set('TB_OFFSET', PERIOD)
    return side
  }
  for (const vcpu of side.vcpus) {
    const n = BigInt(vcpu.id) + 1n
    vcpu.write({
      TB_OFFSET: n * PERIOD,
      DEC_EXPIRY: 100n + n,
      VTB: 200n + n,
      PURR: 300n + n,
      SPURR: 400n + n,
    })
  }
  return side
}

const state: TimebaseState = {
  guestTimebase: 2n ** 60n + 3n,
  timeOfDayNs: 0n,
  timebaseFrequency: 512_000_000n,
  uncertaintyNs: 0n,
  offset: 0n,
  vcpus: IDS.map((id) => {
    const n = BigInt(id) + 1n
    return { id, decExpiry: 2n ** 60n + n, vtb: 20_000n + n, purr: 30_000n + n, spurr: 40_000n + n }
  }),
}

const moves = {
  load: ({ vcpus }: Side) => loadTimebase(vcpus, state),
  inherit: (side: Side) => inheritTimebase(side.vcpu(1), side.vcpu(5)),
}
type Move = keyof typeof moves

/** The calls that a move makes: as many as the model counts, or the list would not be whole. */
function callsOf(
  beginning: Beginning,
  move: Move,
  run: (side: Side) => unknown = moves[move],
): readonly Call[] {
  const side = sideWith(beginning, move)
  const { calls } = side.kernel
  side.kernel.log.length = 0
  run(side)
  expect(side.kernel.log).toHaveLength(side.kernel.calls - calls)
  return side.kernel.log
}

/** The values that are not what they were. */
function changes(before: Record<string, bigint>, after: Record<string, bigint>): string[] {
  expect(Object.keys(after)).toEqual(Object.keys(before))
  return Object.keys(before).filter((name) => before[name] !== after[name])
}

interface Failure {
  readonly error: TimebaseNotAppliedError
  /** The registers that differ from before. */
  readonly changed: readonly string[]
  /** How many calls were made, those that failed included. */
  readonly made: number
}

/** Lets the calls of these indices fail, in rising order. */
function failedMove(
  beginning: Beginning,
  move: Move,
  faults: readonly { readonly at: number; readonly errno: ErrnoName }[],
): Failure {
  const side = sideWith(beginning, move)
  const before = side.timers()
  const first = side.kernel.log.length
  for (const { at, errno } of faults) side.kernel.fail({ errno, skip: at })
  const error = caught(TimebaseNotAppliedError, () => moves[move](side))
  side.kernel.clearFaults()
  const made = side.kernel.log.length - first
  expect(side.kernel.failed.map((call) => call - first)).toEqual(faults.map(({ at }) => at))
  return { error, changed: changes(before, side.timers()), made }
}

function listed(notRestored: readonly NotRestored[]): string[] {
  return notRestored.map(({ vcpu, register }) => `${register} of vCPU ${vcpu}`).sort()
}

function isRead({ operation }: Call): boolean {
  return operation === 'KVM_GET_ONE_REG'
}

/** How many calls are made before the first one that writes. */
function readsFirst(calls: readonly Call[]): number {
  return calls.findIndex(({ operation }) => operation === 'KVM_SET_ONE_REG')
}

describe('the calls of a load of four vCPUs', () => {
  const calls = callsOf('values of their own', 'load')

  it('are all in the list that the faults go through', () => {
    const of = (operation: string) => calls.filter((call) => call.operation === operation)
    expect(of('clock_gettime')).toHaveLength(1)
    // Five registers each, written once.
    expect(of('KVM_SET_ONE_REG')).toHaveLength(20)
    expect(new Set(of('KVM_SET_ONE_REG').map((call) => JSON.stringify(call))).size).toBe(20)
    // Five registers each before, and then offset and decrementer.
    expect(of('KVM_GET_ONE_REG')).toHaveLength(28)
    expect(calls).toHaveLength(49)
  })

  it('write all offsets before anything else', () => {
    const written = calls.filter(({ operation }) => operation === 'KVM_SET_ONE_REG')
    expect(written.slice(0, 4).map(({ register }) => register)).toEqual(
      Array.from(IDS, () => 'TB_OFFSET'),
    )
  })

  it('change every register when none fails', () => {
    const side = sideWith('values of their own')
    const before = side.timers()
    moves.load(side)
    expect(changes(before, side.timers())).toHaveLength(20)
  })
})

describe.each(beginnings)('one fault, on vCPUs that held %s', (beginning) => {
  describe.each(Object.keys(moves) as Move[])('in %s', (move) => {
    const calls = callsOf(beginning, move)
    const faults = calls.flatMap((call, at) => errnos.map((errno) => ({ call, at, errno })))

    it.each(faults)(
      '$errno at call $at ($call.operation $call.register of vCPU $call.vcpu) changes nothing, and the error says so',
      ({ call, at, errno }) => {
        const { error, changed } = failedMove(beginning, move, [{ at, errno }])
        expect(changed).toEqual([])
        expect(error.code).toBe('ERR_TIMEBASE_NOT_APPLIED')
        expect(error.vcpu).toBe(call.vcpu)
        expect(error.register).toBe(call.register)
        expect(error.restored).toBe(true)
        expect(error.notRestored).toEqual([])
        expect(error.cause).toBeInstanceOf(KvmError)
        expect(error.cause).toMatchObject({ ...call, code: errno })
        expect(error.message).toContain(call.operation)
        expect(error.message).toContain(errno)
        if (call.register !== undefined && call.vcpu !== undefined) {
          expect(error.message).toContain(`${call.register} on vCPU ${call.vcpu}`)
        }
        expect(error.message).toMatch(
          at < readsFirst(calls)
            ? /\. Nothing had been changed$/
            : /\. Everything was put back as it was$/,
        )
      },
    )
  })

  const saveCalls = callsOf('zeros', 'load', ({ vcpus }) => saveTimebase(vcpus))
  const saveFaults = saveCalls.flatMap((call, at) => errnos.map((errno) => ({ call, at, errno })))

  it.each(saveFaults)(
    '$errno at call $at ($call.operation $call.register of vCPU $call.vcpu) of a save is its error, and changes nothing',
    ({ call, at, errno }) => {
      const side = sideWith(beginning)
      if (beginning !== 'zeros') side.setOffsets(PERIOD)
      const before = side.timers()
      side.kernel.fail({ errno, skip: at })
      const error = caught(KvmError, () => saveTimebase(side.vcpus))
      side.kernel.clearFaults()
      expect(error).toMatchObject({ ...call, code: errno })
      expect(changes(before, side.timers())).toEqual([])
    },
  )
})

describe.each(beginnings)('one EINVAL, on vCPUs that held %s', (beginning) => {
  const calls = callsOf(beginning, 'load')
  const first = readsFirst(calls)
  const all = calls.map((call, at) => ({ ...call, at }))
  const before = all.slice(0, first)

  it.each(before.filter(({ register }) => register === 'TB_OFFSET'))(
    'for TB_OFFSET of vCPU $vcpu, read first, says that there is none',
    ({ vcpu, at }) => {
      const side = sideWith(beginning)
      const held = side.timers()
      side.kernel.fail({ errno: 'EINVAL', skip: at })
      const error = caught(OneRegError, () => moves.load(side))
      side.kernel.clearFaults()
      expect(error.code).toBe('ERR_KVM_UNAVAILABLE')
      expect(error.message).toContain(`vCPU ${vcpu ?? '?'}`)
      expect(changes(held, side.timers())).toEqual([])
    },
  )

  it.each(before.filter((call) => isRead(call) && call.register !== 'TB_OFFSET'))(
    'for $register of vCPU $vcpu, read first, leaves out that one',
    ({ vcpu, register, at }) => {
      const side = sideWith(beginning)
      side.kernel.fail({ errno: 'EINVAL', skip: at })
      const { skipped } = moves.load(side)
      side.kernel.clearFaults()
      expect(skipped).toEqual([{ vcpu, register }])
      // All others hold what was asked for.
      const complete = sideWith(beginning)
      moves.load(complete)
      const name = registerOn(register ?? 'TB_OFFSET', vcpu ?? -1)
      expect({ ...side.timers(), [name]: 0n }).toEqual({ ...complete.timers(), [name]: 0n })
    },
  )

  const others = all.filter((call) => call.at >= first || !isRead(call))

  it.each(others)(
    'at call $at ($operation $register of vCPU $vcpu) changes nothing',
    ({ operation, vcpu, register, at }) => {
      const { error, changed } = failedMove(beginning, 'load', [{ at, errno: 'EINVAL' }])
      expect(changed).toEqual([])
      expect(error).toMatchObject({ restored: true, notRestored: [] })
      expect(error.vcpu).toBe(vcpu)
      expect(error.register).toBe(register)
      expect(error.cause).toMatchObject({ operation, code: 'EINVAL' })
    },
  )
})

describe.each(beginnings)('a second fault, on vCPUs that held %s,', (beginning) => {
  describe.each(Object.keys(moves) as Move[])('in %s', (move) => {
    const calls = callsOf(beginning, move)
    const firsts = calls
      .map((call, at) => ({ call, at }))
      .filter(({ at }) => at >= readsFirst(calls))

    const found = new Map<number, readonly Failure[]>()

    /** What becomes of it if this call fails and then one of those after it, each in turn. */
    function secondFaults(at: number): readonly Failure[] {
      const known = found.get(at)
      if (known !== undefined) return known
      const first = { at, errno: 'EIO' } as const
      const { made } = failedMove(beginning, move, [first])
      const seconds = Array.from({ length: made - at - 1 }, (_, index) => at + 1 + index)
      const failures = seconds
        .filter((second) => !emulated || move === 'inherit' || second % 5 === at % 5)
        .map((second) => failedMove(beginning, move, [first, { at: second, errno: 'ENOMEM' }]))
      found.set(at, failures)
      return failures
    }

    it.each(firsts)(
      'after one at call $at ($call.operation $call.register of vCPU $call.vcpu) is told with exactly the registers that are not as before',
      ({ call, at }) => {
        const failures = secondFaults(at)
        expect(failures.length).toBeGreaterThan(0)
        for (const { error, changed } of failures) {
          expect(listed(error.notRestored)).toEqual(changed.toSorted())
          expect(error.restored).toBe(changed.length === 0)
          // The first fault is the one that is told as the reason.
          expect(error).toMatchObject({ vcpu: call.vcpu, register: call.register })
          for (const { register, vcpu, problem } of error.notRestored) {
            expect(problem).toMatch(/ENOMEM|reads \d+/)
            expect(error.message).toContain(`${register} on vCPU ${vcpu} (${problem})`)
          }
          expect(error.message).toMatch(
            error.restored
              ? /Everything was put back as it was$/
              : /could not be put back.*do not run/,
          )
        }
      },
    )

    it('leaves something behind in some cases, so that these tests see it', () => {
      const changed = firsts.flatMap(({ at }) =>
        secondFaults(at).flatMap((failure) => failure.changed),
      )
      const vcpus = move === 'load' ? IDS : [5]
      for (const id of vcpus) {
        expect(changed).toContain(registerOn('TB_OFFSET', id))
        expect(changed).toContain(registerOn('DEC_EXPIRY', id))
        if (move === 'load') expect(changed).toContain(registerOn('SPURR', id))
      }
    })
  })
})

describe('one fault, on kernels 4.16 to 5.16, where DEC_EXPIRY moves along with the offset', () => {
  const calls = callsOf('values of their own', 'load').map((call, at) => ({ ...call, at }))

  it.each(calls)(
    'at call $at ($operation $register of vCPU $vcpu) changes nothing',
    ({ at, vcpu, register }) => {
      const { read: time } = new HandMovedTime()
      const side = new Side(new RelativeDecrementerKernel({ time, timeOfDayNs: 0n }), IDS)
      for (const { id } of side.vcpus) {
        side.vcpu(id).set('TB_OFFSET', BigInt(id + 1) * PERIOD)
        side.vcpu(id).set('DEC_EXPIRY', BigInt(id))
      }
      const before = side.timers()
      side.kernel.fail({ errno: 'EIO', skip: at })
      const error = caught(TimebaseNotAppliedError, () => moves.load(side))
      side.kernel.clearFaults()
      expect(changes(before, side.timers())).toEqual([])
      expect(error.restored).toBe(true)
      expect(error.vcpu).toBe(vcpu)
      expect(error.register).toBe(register)
    },
  )
})

describe('one fault, on vCPUs that share a virtual core, as on POWER8', () => {
  const calls = callsOf('values of their own', 'load').map((call, at) => ({ ...call, at }))

  it.each(calls)(
    'at call $at ($operation $register of vCPU $vcpu) changes nothing',
    ({ at, vcpu, register }) => {
      const { read: time } = new HandMovedTime()
      const kernel = new RecordingKernel({ time, timeOfDayNs: 0n, threadsPerCore: 8 })
      const side = new Side(kernel, IDS)
      side.vcpu(0).write({ TB_OFFSET: 3n * PERIOD, VTB: 7n })
      for (const vcpu of side.vcpus) vcpu.set('DEC_EXPIRY', BigInt(vcpu.id))
      const before = side.timers()
      expect(before[registerOn('TB_OFFSET', 5)]).toBe(3n * PERIOD)
      kernel.fail({ errno: 'EIO', skip: at })
      const error = caught(TimebaseNotAppliedError, () => moves.load(side))
      kernel.clearFaults()
      expect(changes(before, side.timers())).toEqual([])
      expect(error).toMatchObject({ restored: true, notRestored: [] })
      expect(error.vcpu).toBe(vcpu)
      expect(error.register).toBe(register)
    },
  )
})

describe.each(beginnings)('a kernel that fails all calls from one on, after %s,', (beginning) => {
  const calls = callsOf(beginning, 'load')

  it.each(calls.map((call, at) => ({ ...call, at })).slice(readsFirst(calls)))(
    'from call $at ($operation $register of vCPU $vcpu) is told with every register, since none can be read',
    ({ at }) => {
      const side = sideWith(beginning)
      side.kernel.fail({ errno: 'EIO', skip: at, times: 1_000 })
      const error = caught(TimebaseNotAppliedError, () => moves.load(side))
      expect(error.restored).toBe(false)
      expect(error.notRestored).toHaveLength(20)
      for (const { problem } of error.notRestored) {
        expect(problem).toBe('KVM_SET_ONE_REG: EIO, KVM_GET_ONE_REG: EIO')
      }
    },
  )
})

describe('a register that should hold 0 and cannot be read back', () => {
  it.each(['TB_OFFSET', 'DEC_EXPIRY'] as const)('fails the move: %s', (register) => {
    const side = sideWith('values of their own')
    side.vcpu(1).set('TB_OFFSET', 0n)
    const before = side.timers()
    const zero = {
      ...state,
      guestTimebase: side.host.timebase(),
      timeOfDayNs: side.host.sample().timeOfDayNs,
      vcpus: IDS.map((id) => ({ id, decExpiry: 0n })),
    }
    // Each of the four is read once before.
    side.kernel.fail({ errno: 'EIO', operation: 'KVM_GET_ONE_REG', register, skip: 6 })
    const error = caught(TimebaseNotAppliedError, () => loadTimebase(side.vcpus, zero))
    expect(error).toMatchObject({ register, vcpu: 2, restored: true })
    expect(side.timers()).toEqual(before)
  })
})
