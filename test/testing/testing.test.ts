import { AssertionError } from 'node:assert'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { actualBackend } from '../../lib/kernel/backend.ts'
import { loadTimebase } from '../../lib/timebase/load.ts'
import { saveTimebase } from '../../lib/timebase/save.ts'
import { TimebaseClockError } from '../../lib/errors.ts'
import { assertGuestGoesOn, FailingKernel, hostPair } from '../../lib/testing/index.ts'
import type { HostPair, HostPairOptions } from '../../lib/testing/index.ts'
import type { Vcpu } from '../../lib/kvm/vcpu.ts'
import { caught } from '../support/caught.ts'
import { errorOf } from '../support/error-of.ts'
import { STEP, SECOND } from '../support/host-pair.ts'

const TICKS_PER_SECOND = 512_000_000n
/** On a POWER host also real vCPUs, with the same clocks. */
const backends = [...new Set(['software' as const, actualBackend('auto')])]

afterEach(() => {
  vi.unstubAllEnvs()
})

describe.each(backends)('hostPair on %s', (backend) => {
  const opened: HostPair[] = []

  function opening(options: HostPairOptions = {}): HostPair {
    const pair = hostPair({ backend, ...options })
    opened.push(pair)
    return pair
  }

  function twoVcpus(host: HostPair['source']): Vcpu[] {
    const vm = host.createVm()
    return [vm.createVcpu(0), vm.createVcpu(1)]
  }

  afterEach(() => {
    for (const pair of opened.splice(0)) pair[Symbol.dispose]()
  })

  it('has its vCPUs there', () => {
    const { source, destination } = opening()
    expect([source.backend, destination.backend]).toEqual([backend, backend])
  })

  it('has two wall clocks that agree, and two timebases that do not', () => {
    const { source, destination } = opening()
    const [one, other] = [source.sample(), destination.sample()]
    expect(one.timeOfDayNs).toBe(other.timeOfDayNs)
    expect(one.timebase).not.toBe(other.timebase)
    expect(one.timebaseFrequency).toBe(TICKS_PER_SECOND)
  })

  it('lets time stand still until the test lets it pass, on both', () => {
    const { source, destination, time } = opening()
    const samples = () => [source.sample(), destination.sample()]
    const before = samples()
    expect(samples()).toEqual(before)
    time.pass(3n * SECOND)
    expect(samples()).toEqual(
      before.map((sample) => ({
        ...sample,
        timebase: sample.timebase + 3n * TICKS_PER_SECOND,
        timeOfDayNs: sample.timeOfDayNs + 3n * SECOND,
      })),
    )
    expect(source.timebase()).toBe(source.sample().timebase)
  })

  it('moves the clocks of one host alone', () => {
    const { source, destination } = opening()
    const before = source.sample()
    destination.clock.setTimebase(5n)
    destination.clock.setTimeOfDay(-1n)
    expect(destination.sample()).toMatchObject({ timebase: 5n, timeOfDayNs: -1n })
    expect(source.sample()).toEqual(before)
  })

  it('has the clocks that it is told', () => {
    const { destination } = opening({
      destination: {
        timebase: 7n,
        timeOfDayNs: 8n,
        timebaseFrequency: 33_333_333n,
        wallClock: { synchronised: false, maxErrorNs: 9_001n },
      },
    })
    expect(destination.sample()).toEqual({
      timebase: 7n,
      timeOfDayNs: 8n,
      timebaseFrequency: 33_333_333n,
      uncertaintyNs: 0n,
      // The kernel counts its error in µs.
      clock: { synchronised: false, maxErrorNs: 10_000n },
    })
  })

  it('moves a guest to the tick that can be had, whatever the machine does meanwhile', () => {
    const { source, destination, time } = opening()
    const state = saveTimebase(twoVcpus(source))
    time.pass(2n * SECOND)
    const vcpus = twoVcpus(destination)
    const outcome = loadTimebase(vcpus, state)
    expect(outcome.downtimeNs).toBe(2n * SECOND)
    expect(outcome.advancedTicks - outcome.roundingTicks).toBe(2n * TICKS_PER_SECOND)
    expect(assertGuestGoesOn(vcpus, state)).toBe(outcome.guestTimebase)
  })

  it('refuses a destination whose clock is behind where the pause is limited', () => {
    const { source, destination, time } = opening()
    const state = saveTimebase(twoVcpus(source))
    time.pass(SECOND)
    destination.clock.setTimeOfDay(destination.sample().timeOfDayNs - 30n * SECOND)
    const vcpus = twoVcpus(destination)
    const error = caught(TimebaseClockError, () =>
      loadTimebase(vcpus, state, { maxDowntimeNs: 5n * SECOND }),
    )
    expect(error).toMatchObject({ code: 'ERR_TIMEBASE_CLOCK', behindNs: 29n * SECOND })
    expect(vcpus.map((vcpu) => vcpu.get('TB_OFFSET'))).toEqual([0n, 0n])
    expect(loadTimebase(vcpus, state)).toMatchObject({
      downtimeNs: 0n,
      clockDifferenceNs: -29n * SECOND,
    })
  })

  it('lets calls of one host fail', () => {
    const { source, destination } = opening()
    const state = saveTimebase(twoVcpus(source))
    const vcpus = twoVcpus(destination)
    destination.kernel.fail({ errno: 'EIO', operation: 'KVM_SET_ONE_REG', skip: 1 })
    expect(errorOf(() => loadTimebase(vcpus, state))).toMatchObject({
      code: 'ERR_TIMEBASE_NOT_APPLIED',
      vcpu: 1,
      restored: true,
    })
    expect(loadTimebase(vcpus, state).guestTimebase).toBe(assertGuestGoesOn(vcpus, state))
  })

  it('closes both hosts and what they have', () => {
    const pair = opening()
    const [vcpu] = twoVcpus(pair.source)
    pair[Symbol.dispose]()
    expect([pair.source.closed, pair.destination.closed]).toEqual([true, true])
    expect(errorOf(() => vcpu?.fd)).toMatchObject({ code: 'ERR_KVM_CLOSED' })
  })
})

describe('hostPair', () => {
  it('has hosts with the same kernel where its calls are printed', () => {
    const print = vi.spyOn(process.stderr, 'write').mockReturnValue(true)
    vi.stubEnv('KVM_PPC_TRACE', '1')
    using pair = hostPair({ backend: 'software' })
    const { kernel } = pair.source
    expect(kernel).toBeInstanceOf(FailingKernel)
    kernel.fail({ errno: 'EIO', operation: 'KVM_CREATE_VM' })
    expect(() => pair.source.createVm()).toThrow('EIO')
    expect(print.mock.calls.map(String).join('')).toMatch(/KVM_CREATE_VM.*-1 EIO/)
    print.mockRestore()
  })

  it('takes the backend of KVM_PPC_BACKEND where it is told none', () => {
    vi.stubEnv('KVM_PPC_BACKEND', 'software')
    using pair = hostPair()
    expect(pair.source.backend).toBe('software')
    vi.stubEnv('KVM_PPC_BACKEND', 'sofware')
    expect(errorOf(() => hostPair())).toMatchObject({ code: 'ERR_INVALID_ARG_VALUE' })
  })

  it('has models of other kernels', () => {
    using pair = hostPair({ backend: 'software', destination: { without: ['DEC_EXPIRY'] } })
    expect(pair.source.createVm().createVcpu(0).has('DEC_EXPIRY')).toBe(true)
    expect(pair.destination.createVm().createVcpu(0).has('DEC_EXPIRY')).toBe(false)
  })

  it('does not take on KVM what only a model can be told', () => {
    const error = caught(TypeError, () =>
      hostPair({ backend: 'kvm', source: { threadsPerCore: 1 } }),
    )
    expect(error.message).toMatch(/options\.source on KVM .*not 'threadsPerCore'/)
  })

  it.each<[string, object]>([
    ['an unknown option', { sources: {} }],
    ['an unknown one of a host', { source: { timebas: 1n } }],
    ['a time of its own, which would not be the pair’s', { source: { time: 1n } }],
    ['a host that is no object', { destination: 5 }],
    ['a number for ticks', { source: { timebase: 5 } }],
  ])('refuses %s', (_what, options) => {
    expect(errorOf(() => hostPair({ backend: 'software', ...options }))).toBeInstanceOf(TypeError)
  })

  it('refuses time in numbers, and time that goes back', () => {
    using pair = hostPair({ backend: 'software' })
    const { time } = pair
    const passing = (ns: unknown) =>
      errorOf(() => {
        time.pass(ns as bigint)
      })
    expect(passing(5)).toBeInstanceOf(TypeError)
    expect(passing(-5n)).toBeInstanceOf(RangeError)
    expect(time.read()).toBe(0n)
  })
})

describe('assertGuestGoesOn', () => {
  /** A guest of three vCPUs on a host whose timebase is 1000. */
  function guest(): { pair: HostPair; vcpus: readonly Vcpu[] } {
    const pair = hostPair({ backend: 'software', source: { timebase: 1000n } })
    const vm = pair.source.createVm()
    return { pair, vcpus: [0, 1, 2].map((id) => vm.createVcpu(id)) }
  }

  it('returns what the guest reads, from where a later call goes on', () => {
    const { pair, vcpus } = guest()
    const seen = assertGuestGoesOn(vcpus, 1000n)
    expect(seen).toBe(1000n)
    pair.time.pass(SECOND)
    expect(assertGuestGoesOn(vcpus, seen)).toBe(TICKS_PER_SECOND + 1000n)
  })

  it('says by how much a guest went back, if only by a tick', () => {
    const { vcpus } = guest()
    const error = caught(AssertionError, () => assertGuestGoesOn(vcpus, 1001n))
    expect(error.message).toBe(
      "The guest's timebase went back by 1 tick (0.00000195313 ms): it was 1001 and is 1000",
    )
    expect(error).toMatchObject({ actual: 1000n, expected: 1001n, operator: 'assertGuestGoesOn' })
  })

  it('takes a saved state for what was before', () => {
    const { vcpus } = guest()
    const state = saveTimebase(vcpus)
    const later = { ...state, guestTimebase: state.guestTimebase + STEP }
    expect(assertGuestGoesOn(vcpus, state)).toBe(1000n)
    const error = caught(AssertionError, () => assertGuestGoesOn(vcpus, later))
    expect(error.message).toMatch(/back by 16777216 ticks \(32\.768 ms\)/)
  })

  it('goes round 2^64 with the guest', () => {
    const { vcpus } = guest()
    expect(assertGuestGoesOn(vcpus, 2n ** 64n - 1n)).toBe(1000n)
    for (const vcpu of vcpus) vcpu.set('TB_OFFSET', 2n ** 64n - STEP)
    expect(errorOf(() => assertGuestGoesOn(vcpus, 5n))).toBeInstanceOf(AssertionError)
  })

  it('says which vCPU has another timebase, and by how much', () => {
    const { vcpus } = guest()
    vcpus[1]?.set('TB_OFFSET', 2n * STEP)
    vcpus[2]?.set('TB_OFFSET', 2n ** 64n - STEP)
    const error = caught(AssertionError, () => assertGuestGoesOn(vcpus, 0n))
    expect(error.message).toBe(
      "The guest's vCPUs have different timebases: of vCPU 0, " +
        'vCPU 1 is 33554432 ticks (65.536 ms) ahead, vCPU 2 is 16777216 ticks (32.768 ms) behind',
    )
    expect(error.expected).toEqual([0n, 0n, 0n])
  })

  it.each<[string, unknown]>([
    ['a number', 5],
    ['nothing', undefined],
    ['an object without a guest timebase', {}],
    ['a value below 0', -1n],
  ])('refuses %s for what was before', (_what, since) => {
    const { vcpus } = guest()
    const error = errorOf(() => assertGuestGoesOn(vcpus, since as bigint))
    expect((error as { code?: unknown }).code).toMatch(/^ERR_(INVALID_ARG_TYPE|OUT_OF_RANGE)$/)
  })

  it('refuses a guest without vCPUs, which nothing could be said of', () => {
    expect(errorOf(() => assertGuestGoesOn([], 0n))).toMatchObject({ code: 'ERR_NO_VCPUS' })
  })
})
