import { describe, expect, it } from 'vitest'
import { Host } from '../../lib/kvm/host.ts'
import { loadTimebase } from '../../lib/timebase/load.ts'
import { saveTimebase } from '../../lib/timebase/save.ts'
import type { AlignOptions } from '../../lib/timebase/load.ts'
import { SoftwareKernel } from '../../lib/kernel/software/kernel.ts'
import { FailingKernel } from '../../lib/testing/failing-kernel.ts'
import { nextAligned, TIMEBASE_OFFSET_STEP } from '../../lib/timebase/plan.ts'

const STEP = TIMEBASE_OFFSET_STEP
const LEAD = 1n << 19n
const freeze: AlignOptions = { downtime: 'freeze', align: true }

/** A host whose time runs with this machine's, started at a timebase of one's choice. */
function hostAt(timebase: bigint): Host {
  return new Host(new SoftwareKernel({ timebase }))
}

function createVcpus(host: Host, count: number) {
  const vm = host.createVm()
  return Array.from({ length: count }, (_, id) => vm.createVcpu(id))
}

describe('an aligned load', () => {
  it.each([0n, 1n, STEP - 1n, 12_345_678_901n, (1n << 64n) - 5n])(
    'goes on to the tick where a guest on a host at %s stopped',
    async (origin) => {
      const state = saveTimebase(createVcpus(hostAt(origin), 2))
      const destination = hostAt(987_654_321n)
      const vcpus = createVcpus(destination, 2)
      const began = destination.timebase()
      const outcome = await loadTimebase(vcpus, state, freeze)
      const ended = destination.timebase()

      expect(outcome).toMatchObject({
        guestTimebase: state.guestTimebase,
        advancedTicks: 0n,
        roundingTicks: 0n,
      })
      expect(outcome.offset % STEP).toBe(0n)
      for (const vcpu of vcpus) {
        expect(vcpu.get('TB_OFFSET')).toBe(outcome.offset)
        // The instant has come when the promise resolves, so the guest cannot be taken back.
        const guestNow = BigInt.asUintN(64, ended + outcome.offset)
        expect(BigInt.asIntN(64, guestNow - state.guestTimebase)).toBeGreaterThanOrEqual(0n)
      }
      const instant = BigInt.asUintN(64, state.guestTimebase - outcome.offset)
      expect(BigInt.asIntN(64, instant - began)).toBeGreaterThanOrEqual(LEAD)
    },
  )

  it('writes before it waits, and resolves when the instant has come', async () => {
    let now = 0n
    const time = () => now
    const source = new Host(new SoftwareKernel({ time, timebase: 5n }))
    const state = saveTimebase(createVcpus(source, 1))
    const destination = new Host(new SoftwareKernel({ time, timebase: 1_000_000_000n }))
    const [vcpu] = createVcpus(destination, 1)
    if (vcpu === undefined) throw new Error('no vCPU')
    const done: string[] = []
    const loading = loadTimebase([vcpu], state, freeze).then(() => done.push('loaded'))
    const offset = vcpu.get('TB_OFFSET')
    expect(offset).not.toBe(0n)

    // One tick is 1.95 ns at 512 MHz.
    const instant = BigInt.asUintN(64, state.guestTimebase - offset) - 1_000_000_000n
    now = (instant * 1_000_000_000n) / 512_000_000n - 10n
    await new Promise((resolve) => setTimeout(resolve, 50))
    expect(done).toEqual([])
    now += 20n
    await loading
    expect(done).toEqual(['loaded'])
  })

  it('tells at which timebase of the host to start, once all is written and before it waits', async () => {
    let now = 0n
    const host = new Host(new SoftwareKernel({ time: () => now, timebase: 5n }))
    const vcpus = createVcpus(host, 2)
    const state = saveTimebase(vcpus)
    const told: [bigint, bigint[]][] = []
    const onWritten = (startTimebase: bigint) => {
      told.push([startTimebase, vcpus.map((vcpu) => vcpu.get('TB_OFFSET'))])
    }
    const loading = loadTimebase(vcpus, state, { ...freeze, onWritten })
    const [[startTimebase, offsets] = [0n, []]] = told
    expect(told).toHaveLength(1)
    expect(startTimebase).toBeGreaterThan(host.timebase())
    for (const offset of offsets) {
      expect(BigInt.asUintN(64, startTimebase + offset)).toBe(state.guestTimebase)
    }
    expect(() => loadTimebase(vcpus, state)).toThrow(
      expect.objectContaining({ code: 'ERR_VCPU_HELD' }),
    )
    now = 1_000_000_000n
    await loading
    expect(told).toHaveLength(1)
  })

  // Half a millisecond before the instant, where time stands still until the clock was asked a hundred times.
  it.each([
    ['asks the clock at every turn of the event loop, at the end', false],
    ['leaves the processor to the threads that start the guest, with onWritten', true],
  ])('%s', async (_, isTold) => {
    let now = 0n
    let readings = 0
    const time = () => {
      readings++
      return now
    }
    const host = new Host(new SoftwareKernel({ time, timebase: 5n }))
    const vcpus = createVcpus(host, 1)
    const state = saveTimebase(vcpus)
    const options = { ...freeze, ...(isTold && { onWritten: () => undefined }) }
    const loading = loadTimebase(vcpus, state, options)
    const instant = state.guestTimebase - (vcpus[0]?.get('TB_OFFSET') ?? 0n)
    now = (BigInt.asUintN(64, instant - 5n) * 1_000_000_000n) / 512_000_000n - 500_000n
    // One that sleeps until after the instant would not notice that it is near.
    await new Promise((resolve) => setTimeout(resolve, 50))
    const [before, started] = [readings, performance.now()]
    for (let turn = 0; turn < 100; turn++) await new Promise((resolve) => setImmediate(resolve))
    const asked = readings - before
    // A timer of 2 ms can fire after one.
    if (isTold) expect(asked).toBeLessThanOrEqual(performance.now() - started + 2)
    else expect(asked).toBeGreaterThanOrEqual(99)
    now += 1_000_000n
    await loading
  })

  it('ends, and holds the guest no longer, when onWritten throws', async () => {
    const vcpus = createVcpus(hostAt(5n), 1)
    const state = saveTimebase(vcpus)
    const onWritten = () => {
      throw new Error('a monitor of its own')
    }
    await expect(loadTimebase(vcpus, state, { ...freeze, onWritten })).rejects.toThrow('of its own')
    expect(loadTimebase(vcpus, state).guestTimebase).toBeGreaterThanOrEqual(state.guestTimebase)
  })

  it('throws for an onWritten that is not a function, or without align', () => {
    const vcpus = createVcpus(hostAt(0n), 1)
    const state = saveTimebase(vcpus)
    expect(() => loadTimebase(vcpus, state, { ...freeze, onWritten: 1n } as never)).toThrow(
      expect.objectContaining({
        code: 'ERR_INVALID_ARG_TYPE',
        message: expect.stringMatching(/^options\.onWritten must be a function/) as string,
      }),
    )
    const onWritten = () => undefined
    expect(() => loadTimebase(vcpus, state, { downtime: 'freeze', onWritten } as never)).toThrow(
      expect.objectContaining({ code: 'ERR_INVALID_ARG_VALUE' }),
    )
  })

  it('keeps the event loop alive while it waits', async () => {
    let now = 0n
    const host = new Host(new SoftwareKernel({ time: () => now }))
    const vcpus = createVcpus(host, 1)
    const state = saveTimebase(vcpus)
    const loading = loadTimebase(vcpus, state, freeze)
    // Its time stands still: only a turn of the event loop can move it on.
    setTimeout(() => (now = 1_000_000_000n))
    await expect(loading).resolves.toMatchObject({ advancedTicks: 0n })
  })

  it('rejects without a system call where the guest is to advance', async () => {
    const kernel = new SoftwareKernel()
    const vcpus = createVcpus(new Host(kernel), 1)
    const state = saveTimebase(vcpus)
    const calls = kernel.calls
    for (const downtime of ['advance', undefined]) {
      await expect(
        loadTimebase(vcpus, state, { align: true, downtime } as never),
      ).rejects.toMatchObject({ name: 'TypeError', code: 'ERR_INVALID_ARG_VALUE' })
    }
    expect(kernel.calls).toBe(calls)
  })

  it('throws for an align that is no boolean', () => {
    const vcpus = createVcpus(hostAt(0n), 1)
    const state = saveTimebase(vcpus)
    expect(() => loadTimebase(vcpus, state, { downtime: 'freeze', align: 1 } as never)).toThrow(
      expect.objectContaining({ code: 'ERR_INVALID_ARG_TYPE' }),
    )
  })

  it('rejects when the kernel refuses, with everything put back', async () => {
    const kernel = new FailingKernel(new SoftwareKernel())
    const vcpus = createVcpus(new Host(kernel), 2)
    const state = saveTimebase(vcpus)
    kernel.fail({ errno: 'EIO', operation: 'KVM_SET_ONE_REG', skip: 1 })
    await expect(loadTimebase(vcpus, state, freeze)).rejects.toMatchObject({
      code: 'ERR_TIMEBASE_NOT_APPLIED',
      restored: true,
    })
    for (const vcpu of vcpus) expect(vcpu.get('TB_OFFSET')).toBe(0n)
  })
})

describe('nextAligned', () => {
  it.each([
    [0n, 0n, 0n],
    [0n, 1n, STEP],
    [5n, 0n, 5n],
    [5n, 5n, 5n],
    [5n, 6n, STEP + 5n],
    [3n * STEP - 1n, STEP, 2n * STEP - 1n],
    [0n, (1n << 64n) - 1n, 0n],
  ])('for a guest at %s is, from %s on, %s', (guest, from, expected) => {
    expect(nextAligned(guest, from)).toBe(expected)
  })
})
