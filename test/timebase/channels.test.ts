import { subscribe, tracingChannel, unsubscribe } from 'node:diagnostics_channel'
import { describe, expect, it, onTestFinished } from 'vitest'
import { Host } from '../../lib/kvm/host.ts'
import { SoftwareKernel } from '../../lib/kernel/software/kernel.ts'
import { INHERIT_CHANNEL, LOAD_CHANNEL, SAVE_CHANNEL } from '../../lib/timebase/channels.ts'
import { inheritTimebase, inheritTimebaseAsync } from '../../lib/timebase/inherit.ts'
import { loadTimebase } from '../../lib/timebase/load.ts'
import { saveTimebase, saveTimebaseAsync } from '../../lib/timebase/save.ts'
import { errorOf } from '../support/error-of.ts'
import { hostPair, SECOND } from '../support/host-pair.ts'

const events = ['start', 'end', 'asyncStart', 'asyncEnd', 'error'] as const

/** The events of a channel from now on, each with a copy of its message. */
function heard(name: string): [event: string, message: object][] {
  const list: [string, object][] = []
  const subscribers = Object.fromEntries(
    events.map((event) => [event, (message: object) => list.push([event, { ...message }])]),
  )
  const channel = tracingChannel(name)
  channel.subscribe(subscribers as never)
  onTestFinished(() => {
    channel.unsubscribe(subscribers as never)
  })
  return list
}

describe('the tracing channels', () => {
  it('have the names that scripts know', () => {
    expect([SAVE_CHANNEL, LOAD_CHANNEL, INHERIT_CHANNEL]).toEqual([
      'kvm-ppc-onereg:save',
      'kvm-ppc-onereg:load',
      'kvm-ppc-onereg:inherit',
    ])
  })

  it('tell of a save and a load, with vCPUs, downtime, advance and rounding', () => {
    const saves = heard(SAVE_CHANNEL)
    const loads = heard(LOAD_CHANNEL)
    const { source, destination, time } = hostPair({ ids: [0, 8] })
    const state = saveTimebase(source.vcpus)
    expect(saves).toEqual([
      ['start', { vcpus: [0, 8] }],
      ['end', { vcpus: [0, 8], result: state }],
    ])
    time.pass(SECOND)
    const outcome = loadTimebase(destination.vcpus, state)
    expect(outcome).toMatchObject({ downtimeNs: SECOND })
    expect(loads).toEqual([
      ['start', { vcpus: [0, 8], state }],
      ['end', { vcpus: [0, 8], state, result: outcome }],
    ])
    expect(saves).toHaveLength(2)
  })

  it('tell of a failure', () => {
    const saves = heard(SAVE_CHANNEL)
    const loads = heard(LOAD_CHANNEL)
    const { source, destination } = hostPair({ ids: [0] })
    const state = saveTimebase(source.vcpus)
    destination.kernel.fail({ errno: 'EIO', operation: 'KVM_SET_ONE_REG' })
    const error = errorOf(() => loadTimebase(destination.vcpus, state))
    expect(loads.map(([event]) => event)).toEqual(['start', 'error', 'end'])
    expect(loads[1]?.[1]).toEqual({ vcpus: [0], state, error })
    saves.length = 0
    const wrong = errorOf(() => saveTimebase([5] as never))
    expect(saves[1]).toEqual(['error', { vcpus: [-1], error: wrong }])
    errorOf(() => saveTimebase(undefined as never))
    expect(saves[3]).toEqual(['start', { vcpus: [] }])
  })

  it('tell of a vCPU that joins', () => {
    const inherits = heard(INHERIT_CHANNEL)
    const { source } = hostPair({ ids: [0, 3] })
    const result = inheritTimebase(source.vcpu(0), source.vcpu(3))
    expect(inherits).toEqual([
      ['start', { from: 0, to: 3 }],
      ['end', { from: 0, to: 3, result }],
    ])
  })

  it('tell of calls that end later', async () => {
    const saves = heard(SAVE_CHANNEL)
    const inherits = heard(INHERIT_CHANNEL)
    const loads = heard(LOAD_CHANNEL)
    const vm = new Host(new SoftwareKernel()).createVm()
    const [one, other] = [vm.createVcpu(0), vm.createVcpu(1)]
    const result = await saveTimebaseAsync([one])
    await inheritTimebaseAsync(one, other)
    const outcome = await loadTimebase([one], result, { downtime: 'freeze', align: true })
    const order = ['start', 'end', 'asyncStart', 'asyncEnd']
    for (const list of [saves, inherits, loads]) expect(list.map(([event]) => event)).toEqual(order)
    expect(saves[3]?.[1]).toEqual({ vcpus: [0], result })
    expect(inherits[0]?.[1]).toEqual({ from: 0, to: 1 })
    expect(loads[3]?.[1]).toMatchObject({ result: outcome })
    await expect(saveTimebaseAsync([])).rejects.toThrow()
    expect(saves.slice(4).map(([event]) => event)).toContain('error')
  })

  it.each(events)('tell one who listens to %s alone', async (event) => {
    const { source } = hostPair({ ids: [0] })
    const list: unknown[] = []
    const only = `tracing:${SAVE_CHANNEL}:${event}`
    const listen = (message: unknown) => list.push(message)
    subscribe(only, listen)
    try {
      await saveTimebaseAsync(event === 'error' ? [] : source.vcpus).catch(() => undefined)
    } finally {
      unsubscribe(only, listen)
    }
    expect(list).toHaveLength(1)
  })
})
