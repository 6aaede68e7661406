import { describe, expect, it, onTestFinished, vi } from 'vitest'
import {
  OneRegError,
  OneRegNotLoadedError,
  RestoreIncompleteError,
  TimebaseDowntimeError,
  TimebaseFrequencyError,
  TimebaseNotAppliedError,
} from '../../lib/errors.ts'
import { Host } from '../../lib/kvm/host.ts'
import type { Vcpu } from '../../lib/kvm/vcpu.ts'
import { registerNames } from '../../lib/registers.ts'
import type { RegisterName } from '../../lib/registers.ts'
import { assertGuestGoesOn, FailingKernel, hostPair } from '../../lib/testing/index.ts'
import type { HostPairOptions } from '../../lib/testing/index.ts'
import {
  loadOneRegState,
  saveOneRegState,
  saveOneRegStateAsync,
} from '../../lib/timebase/move-one-reg.ts'
import { parseOneRegState, serializeOneRegState } from '../../lib/timebase/one-reg-state.ts'
import type { OneRegState } from '../../lib/timebase/one-reg-state.ts'
import { serializeTimebase } from '../../lib/timebase/state.ts'
import { timeRegisters } from '../../lib/timebase/timers.ts'
import { idsOf } from '../support/ids-of.ts'
import { caught } from '../support/caught.ts'
import { DeafKernel } from '../support/kernels.ts'
import { STEP, SECOND } from '../support/host-pair.ts'
import { errorOf } from '../support/error-of.ts'

// On POWER the vCPUs of these hosts are real KVM's.

const timerNames: readonly RegisterName[] = timeRegisters.map(({ name }) => name)

/** Two hosts, with a guest of two vCPUs on the first that has something in its registers. */
function movable(options: HostPairOptions = {}) {
  const pair = hostPair(options)
  onTestFinished(() => {
    pair[Symbol.dispose]()
  })
  const { source, destination, time } = pair
  const on = (host: Host): Vcpu[] => {
    const vm = host.createVm()
    return [0, 1].map((id) => vm.createVcpu(id))
  }
  const from = on(source)
  for (const vcpu of from) {
    const id = BigInt(vcpu.id)
    vcpu.write({ TB_OFFSET: 5n * STEP, DAR: 0x1000n + id, DSISR: 7 + vcpu.id, PURR: 99n + id })
    vcpu.set('VR0', new Uint8Array(16).fill(vcpu.id + 1))
    vcpu.set('DEC_EXPIRY', 2n ** 50n + id)
  }
  return { source, destination, time, from, to: on(destination) }
}

/** How many registers each call writes from now on. */
function counting(kernel: FailingKernel): { writes: number[] } {
  const writes: number[] = []
  const setOneRegs = kernel.setOneRegs.bind(kernel)
  vi.spyOn(kernel, 'setOneRegs').mockImplementation((batch) => {
    writes.push(idsOf(batch).length)
    return setOneRegs(batch)
  })
  return { writes }
}

describe('all that ONE_REG holds, and the timebase,', () => {
  it('goes to another host as text, registers first and timebase last', () => {
    const { from, to, time, destination } = movable()
    const text = serializeOneRegState(saveOneRegState(from))
    time.pass(2n * SECOND)
    const { writes } = counting(destination.kernel)
    const state = parseOneRegState(text)
    const outcome = loadOneRegState(to, state, { verify: true, maxDowntimeNs: 5n * SECOND })
    const registers = Object.keys(state.vcpus[0]?.registers ?? {}).length
    // The offsets of both vCPUs, and four other time registers of each.
    expect(writes).toEqual([registers, registers, 2, 8])
    expect(outcome).toMatchObject({
      timebase: { downtimeNs: 2n * SECOND, skipped: [] },
      vcpus: [
        { id: 0, refused: [], changed: [] },
        { id: 1, refused: [], changed: [] },
      ],
    })
    from.forEach((vcpu, index) => {
      const names = registerNames.filter((name) => name !== 'TB_OFFSET' && vcpu.has(name))
      expect(to[index]?.read(names)).toEqual(vcpu.read(names))
    })
    assertGuestGoesOn(to, state.timebase)
  })

  it('has each time register once, with the timebase', () => {
    const { from } = movable()
    const state = saveOneRegState(from)
    for (const { registers } of state.vcpus) {
      for (const name of timerNames) expect(registers).not.toHaveProperty(name)
    }
    expect(state.timebase.vcpus[1]).toMatchObject({ id: 1, decExpiry: 2n ** 50n + 1n, purr: 100n })
  })

  it('is what JSON.stringify gives, and is read as it was written', () => {
    const { from } = movable()
    const state = saveOneRegState(from)
    expect(JSON.stringify(state)).toBe(serializeOneRegState(state))
    const parsed = parseOneRegState(serializeOneRegState(state))
    expect(parsed).toEqual(state)
    expect(JSON.stringify(parsed)).toBe(serializeOneRegState(state))
  })

  it('is saved once a vCPU that runs has stopped', async () => {
    const { from, source } = movable()
    const [, second] = from
    if (second === undefined) throw new Error('A guest of two vCPUs was made')
    const running = source.run(second)
    expect(() => saveOneRegState(from)).toThrow(/while it runs/)
    const waiting = saveOneRegStateAsync(from)
    const ended = new AbortController()
    const aborted = saveOneRegStateAsync(from, { signal: ended.signal })
    ended.abort()
    await expect(aborted).rejects.toThrow(expect.objectContaining({ name: 'AbortError' }) as Error)
    running.stop()
    expect(await waiting).toEqual(saveOneRegState(from))
    await expect(saveOneRegStateAsync(from, { signal: 5 } as never)).rejects.toThrow(TypeError)
  })

  it('goes on at the very tick with align', async () => {
    const { from, to, time } = movable()
    const { timebase, vcpus } = saveOneRegState(from)
    const told: bigint[] = []
    const onWritten = (startTimebase: bigint) => told.push(startTimebase)
    const options = { downtime: 'freeze', align: true, verify: true, onWritten } as const
    const loading = loadOneRegState(to, { timebase, vcpus }, options)
    expect(to[0]?.get('DAR')).toBe(0x1000n)
    const offset = to[0]?.get('TB_OFFSET') ?? 0n
    expect(told).toEqual([BigInt.asUintN(64, timebase.guestTimebase - offset)])
    time.pass(SECOND)
    const outcome = await loading
    expect(outcome.timebase).toMatchObject({ advancedTicks: 0n, roundingTicks: 0n })
    expect(outcome.vcpus).toEqual([0, 1].map((id) => ({ id, refused: [], changed: [] })))
  })

  it('passes on what is thrown by onWritten and is not an error', async () => {
    const { from, to } = movable()
    const onWritten = (): void => {
      throw 'stop' as unknown as Error
    }
    const options = { downtime: 'freeze', align: true, onWritten } as const
    await expect(loadOneRegState(to, saveOneRegState(from), options)).rejects.toBe('stop')
  })

  it('with align says which vCPUs are unfit if it fails after the first write', async () => {
    const { from, to, destination } = movable()
    const state = saveOneRegState(from)
    const options = { downtime: 'freeze', align: true } as const
    destination.kernel.fail({
      errno: 'EIO',
      operation: 'KVM_SET_ONE_REG',
      register: 'TB_OFFSET',
    })
    await expect(loadOneRegState(to, state, options)).rejects.toMatchObject({
      code: 'ERR_ONE_REG_NOT_LOADED',
      unfit: [0, 1],
    })
  })

  it('says which registers a vCPU holds another value of, and which it lacks', () => {
    const { from, to } = movable({ backend: 'software', destination: { without: ['VRSAVE'] } })
    const { timebase, vcpus } = saveOneRegState(from)
    const foreign = vcpus.map(({ id, registers }) => ({
      id,
      registers: { ...registers, LPCR_64: 0xc000_0000_0004_f201n, VRSAVE: 1 },
    }))
    const outcome = loadOneRegState(to, { timebase, vcpus: foreign }, { verify: true })
    expect(outcome.vcpus[1]).toEqual({
      id: 1,
      refused: [{ register: 'VRSAVE', code: 'EINVAL' }],
      changed: [{ register: 'LPCR_64', wanted: 0xc000_0000_0004_f201n, held: 0x54_0413n }],
    })
    expect(loadOneRegState(to, { timebase, vcpus: foreign }).vcpus[0]).not.toHaveProperty('changed')
  })

  it('leaves a vCPU that was not saved to the timebase', () => {
    const { from, to, destination } = movable()
    const state = saveOneRegState(from.slice(0, 1))
    const outcome = loadOneRegState(to, state)
    expect(outcome.vcpus).toEqual([{ id: 0, refused: [] }])
    expect(to[1]?.get('DAR')).toBe(0n)
    expect(to[1]?.get('DEC_EXPIRY')).toBe(outcome.timebase.guestTimebase)
    expect(destination.closed).toBe(false)
  })
})

describe('before the first write', () => {
  const refused: [string, HostPairOptions, object, new (...args: never[]) => Error][] = [
    ['another frequency', { destination: { timebaseFrequency: 1n } }, {}, TimebaseFrequencyError],
    ['too long a pause', {}, { maxDowntimeNs: 1n }, TimebaseDowntimeError],
  ]
  it.each(refused)('%s is refused', (_what, pairOptions, options, type) => {
    const { from, to, time, destination } = movable(pairOptions)
    const state = saveOneRegState(from)
    time.pass(SECOND)
    const before = to.map((vcpu) => vcpu.snapshot())
    const { calls } = destination.kernel
    expect(() => loadOneRegState(to, state, options)).toThrow(type)
    expect(destination.kernel.calls - calls).toBeLessThanOrEqual(11)
    expect(to.map((vcpu) => vcpu.snapshot())).toEqual(before)
  })

  it('a vCPU too few is refused, and a call that cannot read', () => {
    const { from, to, destination } = movable()
    const state = saveOneRegState(from)
    const error = caught(OneRegError, () => loadOneRegState(to.slice(1), state))
    expect(error.code).toBe('ERR_VCPUS_MISMATCH')
    destination.kernel.fail({ errno: 'EIO', operation: 'KVM_GET_ONE_REG' })
    expect(() => loadOneRegState(to, state)).toThrow(TimebaseNotAppliedError)
    expect(to[0]?.get('DAR')).toBe(0n)
  })

  it.each<[string, (state: OneRegState) => unknown, RegExp]>([
    ['nothing', () => undefined, /state must be an object/],
    ['no timebase', ({ vcpus }) => ({ vcpus }), /state must be an object/],
    [
      'strings, as JSON.parse',
      (state) => JSON.parse(JSON.stringify(state)) as unknown,
      /^state must be as parseOneRegState/,
    ],
    ['no vCPUs', ({ timebase }) => ({ timebase }), /state\.vcpus must be an array of registers/],
    [
      'one less',
      ({ timebase }) => ({ timebase, vcpus: [] }),
      /^state\.vcpus must be those of state\.timebase, not 'without vCPU 0'/,
    ],
    [
      'an id that is text',
      ({ timebase, vcpus }) => ({ timebase, vcpus: vcpus.map((vcpu) => ({ ...vcpu, id: '0' })) }),
      /^state\.vcpus\[0\]\.id must be/,
    ],
    [
      'registers that are text',
      ({ timebase, vcpus }) => ({
        timebase,
        vcpus: vcpus.map(({ id }) => ({ id, registers: '' })),
      }),
      /^state\.vcpus\[0\]\.registers must be an object/,
    ],
    [
      'one twice',
      ({ timebase, vcpus }) => ({ timebase, vcpus: [vcpus[0], vcpus[0]] }),
      /vcpus\[1\]\.id must be one of state\.timebase, and unique/,
    ],
    [
      'a time register',
      ({ timebase, vcpus }) => ({
        timebase,
        vcpus: vcpus.map(({ id }) => ({ id, registers: { VTB: 1n } })),
      }),
      /vcpus\[0\]\.registers must be without VTB/,
    ],
    [
      'a wrong value',
      ({ timebase, vcpus }) => ({
        timebase,
        vcpus: vcpus.map(({ id }) => ({ id, registers: { DAR: 1 } })),
      }),
      /DAR must be a bigint/,
    ],
  ])('a state with %s is refused', (_what, change, message) => {
    const { from, to } = movable()
    const state = change(saveOneRegState(from)) as OneRegState
    expect(() => loadOneRegState(to, state)).toThrow(message)
    expect(() => serializeOneRegState(state)).toThrow(message)
    expect(to[0]?.get('DAR')).toBe(0n)
  })

  it('an option that is unknown or wrong is refused', () => {
    const { from, to } = movable()
    const state = saveOneRegState(from)
    for (const [options, message] of [
      [5, /^options must be an object/],
      [{ timebase: true }, /options may have only/],
      [{ verify: 1 }, /options\.verify must be a boolean/],
      [{ align: 1 }, /options\.align must be a boolean/],
      [{ onWritten: () => undefined }, /options\.onWritten must be left out without align/],
      [{ downtime: 'stop' }, /options\.downtime must be/],
    ] as const) {
      const error = errorOf(() => loadOneRegState(to, state, options as never))
      expect(error).toBeInstanceOf(TypeError)
      expect((error as Error).message).toMatch(message)
    }
    expect(to[0]?.get('DAR')).toBe(0n)
  })

  it('align without freeze is refused, and another frequency', async () => {
    const { from, to } = movable()
    const state = saveOneRegState(from)
    await expect(loadOneRegState(to, state, { align: true } as never)).rejects.toThrow(
      /^options\.downtime must be 'freeze' with align/,
    )
    const timebase = { ...state.timebase, timebaseFrequency: 1n }
    const options = { downtime: 'freeze', align: true } as const
    await expect(loadOneRegState(to, { ...state, timebase }, options)).rejects.toThrow(
      TimebaseFrequencyError,
    )
    expect(to[0]?.get('DAR')).toBe(0n)
  })
})

describe('a load that fails half-way', () => {
  it('at any write says which vCPUs are unfit to run, or leaves all as they are', () => {
    const { from, to, destination } = movable()
    const { kernel } = destination
    const state = saveOneRegState(from)
    const pristine = to.map((vcpu) => vcpu.snapshot())
    const { writes } = counting(kernel)
    loadOneRegState(to, state)
    const [perVcpu = 0] = writes
    const all = writes.reduce((sum, size) => sum + size)
    for (const skip of [0, 1, perVcpu - 1, perVcpu, 2 * perVcpu - 1, 2 * perVcpu, all - 1]) {
      const vm = destination.createVm()
      const to = [vm.createVcpu(0), vm.createVcpu(1)]
      kernel.fail({ errno: 'EIO', operation: 'KVM_SET_ONE_REG', skip })
      const error = caught(OneRegNotLoadedError, () => loadOneRegState(to, state))
      kernel.clearFaults()
      expect([skip, error.unfit]).toEqual([skip, skip < perVcpu ? [0] : [0, 1]])
      expect(error.code).toBe('ERR_ONE_REG_NOT_LOADED')
      expect(error.message).toMatch(/unfit to run, make them anew: 0/)
      expect(error.cause).toBeInstanceOf(
        skip < 2 * perVcpu ? RestoreIncompleteError : TimebaseNotAppliedError,
      )
      // What is not unfit is as it was.
      if (skip < perVcpu) expect(to[1]?.snapshot()).toEqual(pristine[1])
    }
  })

  it('names the vCPUs that a load of the timebase could not put back', () => {
    const kernel = new FailingKernel(new DeafKernel('TB_OFFSET'))
    const vm = new Host(kernel).createVm()
    const vcpus = [vm.createVcpu(3), vm.createVcpu(4)]
    const { from } = movable({ backend: 'software' })
    const { timebase, vcpus: saved } = saveOneRegState(from)
    const ids = [3, 4]
    const state = {
      timebase: { ...timebase, vcpus: ids.map((id) => ({ id })) },
      vcpus: saved.map(({ registers }, index) => ({ id: ids[index] ?? 0, registers })),
    }
    const { cause, unfit } = caught(OneRegNotLoadedError, () => loadOneRegState(vcpus, state))
    expect(cause).toBeInstanceOf(TimebaseNotAppliedError)
    expect(unfit).toEqual([3, 4])
  })
})

describe('parseOneRegState refuses', () => {
  const text = (): string => {
    const { from } = movable({ backend: 'software' })
    return serializeOneRegState(saveOneRegState(from))
  }
  const codeOf = (given: string): string => caught(OneRegError, () => parseOneRegState(given)).code
  const messageOf = (given: string): string =>
    caught(OneRegError, () => parseOneRegState(given)).message

  it('a newer version, of the whole and of the timebase in it', () => {
    const whole = text()
    const of = (format: string) => [`${format}","version":1`, `${format}","version":2`] as const
    expect(codeOf(whole.replace(...of('kvm-ppc-onereg/one-reg')))).toBe('ERR_STATE_VERSION')
    expect(codeOf(whole.replace(...of('kvm-ppc-onereg/timebase')))).toBe('ERR_STATE_VERSION')
  })

  it('what is damaged, and names the field', () => {
    const whole = text()
    expect(messageOf(whole.replace('"DAR":"4096"', '"DAR":4096'))).toContain(
      '"vcpus[0].registers.DAR" must be',
    )
    expect(messageOf(whole.replace('{"id":1,"registers"', '{"id":7,"registers"'))).toMatch(
      /vcpus\[1\]\.id must be one of state\.timebase/,
    )
    expect(messageOf(whole.replace('{"id":1,"registers"', '{"id":1,"x":1,"registers"'))).toContain(
      "'vcpus[1].x' is not known",
    )
    expect(messageOf('{"format":"kvm-ppc-onereg/one-reg","version":1,"vcpus":[]}')).toContain(
      '"timebase" must be an object',
    )
    expect(messageOf('{"format":"kvm-ppc-onereg/one-reg","version":1,"vcpus":{}}')).toContain(
      '"vcpus" must be an array',
    )
    expect(messageOf(whole.replace(/"vcpus":\[\{"id":0,"registers".*/, '"vcpus":[1]}'))).toContain(
      'vcpus[0] must be an object',
    )
    expect(messageOf(whole.replace('{"format"', '{"x":1,"format"'))).toContain("'x' is not known")
    expect(messageOf('[]')).toContain('A saved ONE_REG state is')
    const { from } = movable({ backend: 'software' })
    expect(messageOf(serializeTimebase(saveOneRegState(from).timebase))).toContain(
      'parseTimebase reads',
    )
  })
})
