import { describe, expect, it } from 'vitest'
import type { ErrnoName } from '../../../lib/errno.ts'
import { KvmError, OneRegError, TimebaseNotAppliedError } from '../../../lib/errors.ts'
import { inheritTimebase } from '../../../lib/timebase/inherit.ts'
import { loadTimebase } from '../../../lib/timebase/load.ts'
import { saveTimebase } from '../../../lib/timebase/save.ts'
import type { TimebaseState } from '../../../lib/timebase/state.ts'
import { registerOn } from '../../support/host-pair.ts'
import type { Call } from '../../support/kernels.ts'
import { errnos, FaultRig, inWords } from './rig.ts'
import type { Beginning, Place, Run } from './rig.ts'

/** A state that changes every time register of every vCPU. */
function stateFor({ host, vcpus }: FaultRig): TimebaseState {
  return {
    guestTimebase: 2n ** 60n + 3n,
    timeOfDayNs: 0n,
    timebaseFrequency: host.timebaseFrequency,
    uncertaintyNs: 0n,
    offset: 0n,
    vcpus: vcpus.map(({ id }) => {
      const n = BigInt(id) + 1n
      return {
        id,
        decExpiry: 2n ** 61n + n,
        vtb: 20_000n + n,
        purr: 30_000n + n,
        spurr: 40_000n + n,
      }
    }),
  }
}

const moves = {
  save: ({ vcpus }: FaultRig) => saveTimebase(vcpus),
  load: (rig: FaultRig) => loadTimebase(rig.vcpus, stateFor(rig)),
  'load of a frozen guest': (rig: FaultRig) =>
    loadTimebase(rig.vcpus, stateFor(rig), { downtime: 'freeze', rounding: 'up' }),
  'aligned load': (rig: FaultRig, { passTime }: Place) => {
    const loading = loadTimebase(rig.vcpus, stateFor(rig), { downtime: 'freeze', align: true })
    passTime?.()
    return loading
  },
  inherit: (rig: FaultRig) => inheritTimebase(rig.vcpu(0), rig.vcpu(1)),
}
type Move = keyof typeof moves

/** From which registers each begins: a save wants one offset, and equal ones are nothing to inherit. */
const cases: readonly { move: Move; beginning: Beginning }[] = [
  { move: 'save', beginning: 'one offset' },
  { move: 'load', beginning: 'values of their own' },
  { move: 'load', beginning: 'zeros' },
  { move: 'load of a frozen guest', beginning: 'one offset' },
  { move: 'aligned load', beginning: 'values of their own' },
  { move: 'inherit', beginning: 'values of their own' },
]

/** The options of a load make no difference once it writes. */
const writing = cases.filter(({ move }) => move === 'load' || move === 'inherit')

/** A move that has been made once without a fault, and can be made again with some. */
async function prepared(place: Place, move: Move, beginning: Beginning) {
  const rig = new FaultRig(place)
  rig.hold(beginning)
  const before = rig.registers()
  const run = (...strikes: readonly { at: number; errno: ErrnoName }[]): Promise<Run> => {
    rig.hold(beginning)
    return rig.run(() => moves[move](rig, place), strikes)
  }
  const clean = await run()
  expect(clean.error).toBeUndefined()
  // What follows relies on it.
  expect(clean.calls.length).toBeGreaterThanOrEqual(place.ids.length * 2)
  const changed = rig.differing(before, clean.after)
  expect(changed.length > 0).toBe(move !== 'save')
  const firstWrite = clean.calls.findIndex(({ operation }) => operation === 'KVM_SET_ONE_REG')
  return { rig, before, clean, changed, run, firstWrite }
}

/** The tests of saving, loading and inheriting a timebase while calls to the kernel fail. */
export function describeMoves(place: Place): void {
  describe.each(cases)('$move, from $beginning', ({ move, beginning }) => {
    it.each(errnos)('with one %s, at each call in turn', async (errno) => {
      const { rig, before, clean, changed, run, firstWrite } = await prepared(
        place,
        move,
        beginning,
      )
      for (const [at, call] of clean.calls.entries()) {
        const where = inWords(at, call)
        const { error, value, after } = await run({ at, errno })
        expect(rig.failed, where).toContain(at)
        const isReadFirst =
          call.operation === 'KVM_GET_ONE_REG' && (at < firstWrite || firstWrite < 0)
        if (errno === 'EINTR' && call.register !== undefined) {
          expect(error, where).toBeUndefined()
          expect(rig.differing(before, after), where).toEqual(changed)
        } else if (errno === 'EINVAL' && isReadFirst) {
          expectAbsent(move, call, { error, value }, where)
          const absent = registerOn(call.register ?? 'TB_OFFSET', call.vcpu ?? -1)
          const others = (names: string[]): string[] => names.filter((name) => name !== absent)
          const expected = error === undefined ? others(changed) : []
          expect(others(rig.differing(before, after)), where).toEqual(expected)
        } else {
          expectRefusal(
            move,
            call,
            errno,
            { error, hasWritten: firstWrite >= 0 && at >= firstWrite },
            where,
          )
          expect(rig.differing(before, after), where).toEqual([])
        }
      }
      rig.hold(beginning)
      expect(rig.registers()).toEqual(before)
      rig.close()
    })
  })

  describe.each(writing)('$move, from $beginning', ({ move, beginning }) => {
    it('with two faults, lists exactly the registers that are not as before', async () => {
      const { rig, before, clean, run, firstWrite } = await prepared(place, move, beginning)
      const left = new Set<string>()
      for (let at = firstWrite; at < clean.calls.length; at++) {
        const { calls } = await run({ at, errno: 'EIO' })
        for (let second = at + 1; second < calls.length; second++) {
          const { error, after } = await run({ at, errno: 'EIO' }, { at: second, errno: 'ENOMEM' })
          const what = `${inWords(at, clean.calls[at] ?? { operation: 'open' })}, then call ${second}`
          const differing = rig.differing(before, after)
          expectListed(error, differing, what)
          const { register, vcpu } = clean.calls[at] ?? {}
          // The first fault is the one that is told as the reason.
          expect(error, what).toMatchObject({ register, vcpu })
          for (const name of differing) left.add(name)
        }
      }
      // Or these tests would see nothing.
      expect(left.size).toBeGreaterThan(0)
      rig.close()
    })

    it('where all calls fail from one on, lists every register, since none can be read', async () => {
      const { rig, clean, run, firstWrite } = await prepared(place, move, beginning)
      const { calls } = await run({ at: firstWrite, errno: 'EIO' })
      // A register that is restored is written, and then read.
      const written = (calls.length - firstWrite - place.ids.length) / 2
      for (let at = firstWrite; at < clean.calls.length; at++) {
        rig.kernel.fail({ errno: 'EIO', skip: at, times: 10_000 })
        const { error } = await run()
        const { notRestored } = error as TimebaseNotAppliedError
        expect(error).toMatchObject({ code: 'ERR_TIMEBASE_NOT_APPLIED', restored: false })
        if (move !== 'inherit') expect(notRestored).toHaveLength(written)
        for (const { problem } of notRestored) {
          expect(problem).toBe('KVM_SET_ONE_REG: EIO, KVM_GET_ONE_REG: EIO')
        }
      }
      rig.close()
    })
  })
}

/** A register that the kernel says it has not, when it is asked for the first time. */
function expectAbsent(
  move: Move,
  { register, vcpu }: Call,
  { error, value }: Pick<Run, 'error' | 'value'>,
  where: string,
): void {
  if (register === 'TB_OFFSET') {
    expect(error, where).toBeInstanceOf(OneRegError)
    expect(error, where).toMatchObject({ code: 'ERR_KVM_UNAVAILABLE' })
    expect((error as Error).message).toContain(`vCPU ${vcpu ?? '?'}`)
    return
  }
  expect(error, where).toBeUndefined()
  if (move === 'save') {
    const saved = (value as TimebaseState).vcpus.find(({ id }) => id === vcpu)
    const field = { DEC_EXPIRY: 'decExpiry', VTB: 'vtb', PURR: 'purr', SPURR: 'spurr' }[
      register as 'VTB'
    ]
    expect(saved, where).not.toHaveProperty(field)
  } else if (move !== 'inherit') {
    expect(value, where).toMatchObject({
      skipped: expect.arrayContaining([{ register, vcpu }]) as unknown,
    })
  }
}

function expectRefusal(
  move: Move,
  call: Call,
  errno: ErrnoName,
  { error, hasWritten }: { error: unknown; hasWritten: boolean },
  where: string,
): void {
  if (move === 'save') {
    expect(error, where).toBeInstanceOf(KvmError)
    expect(error, where).toMatchObject({ ...call, code: errno })
    return
  }
  expect(error, where).toBeInstanceOf(TimebaseNotAppliedError)
  const { vcpu, register } = call
  expect(error, where).toMatchObject({
    code: 'ERR_TIMEBASE_NOT_APPLIED',
    ...(register !== undefined && { vcpu, register }),
    restored: true,
    notRestored: [],
    cause: { ...call, code: errno },
  })
  const { message, cause } = error as Error
  expect(cause, where).toBeInstanceOf(KvmError)
  expect(message, where).toContain((cause as Error).message)
  expect(message, where).toMatch(
    hasWritten ? /\. Everything was put back as it was$/ : /\. Nothing had been changed$/,
  )
}

function expectListed(error: unknown, changed: readonly string[], what: string): void {
  expect(error, what).toBeInstanceOf(TimebaseNotAppliedError)
  const { notRestored, restored, message } = error as TimebaseNotAppliedError
  const listed = notRestored.map(({ register, vcpu }) => `${register} of vCPU ${vcpu}`)
  expect(listed.sort(), what).toEqual(changed)
  expect(restored, what).toBe(changed.length === 0)
  for (const { register, vcpu, problem } of notRestored) {
    expect(problem, what).toMatch(/ENOMEM|reads \d+/)
    expect(message, what).toContain(`${register} on vCPU ${vcpu} (${problem})`)
  }
  expect(message, what).toMatch(
    restored ? /Everything was put back as it was$/ : /could not be put back.*do not run/,
  )
}
