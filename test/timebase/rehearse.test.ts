import { setImmediate } from 'node:timers/promises'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { describe, expect, it } from 'vitest'
import { actualBackend } from '../../lib/kernel/backend.ts'
import { SoftwareKernel } from '../../lib/kernel/software/kernel.ts'
import { Host, openHost } from '../../lib/kvm/host.ts'
import { FailingKernel } from '../../lib/testing/failing-kernel.ts'
import { LOAD_CHANNEL, SAVE_CHANNEL } from '../../lib/timebase/channels.ts'
import { TIMEBASE_ADJUST_CHANNEL } from '../../lib/timebase/load.ts'
import { rehearse } from '../../lib/timebase/rehearse.ts'
import { saveTimebase } from '../../lib/timebase/save.ts'
import { slowdown } from '../support/emulated.ts'

const timeout = 20_000 * slowdown

/** Knows which VMs are open. */
class CountingKernel extends SoftwareKernel {
  readonly vms = new Set<number>()

  override createVm(...args: Parameters<SoftwareKernel['createVm']>): number {
    const fd = super.createVm(...args)
    this.vms.add(fd)
    return fd
  }

  override close(fd: number): number {
    this.vms.delete(fd)
    return super.close(fd)
  }
}

describe('a rehearsal', () => {
  it('finds what a load needs of this host', { timeout }, async () => {
    using host = openHost({ backend: actualBackend() })
    const { registers, timebaseFrequency, uncertaintyNs, rounds } = await rehearse(host)
    expect(registers).toEqual(['TB_OFFSET', 'DEC_EXPIRY', 'VTB', 'PURR', 'SPURR'])
    expect(timebaseFrequency).toBe(host.timebaseFrequency)
    expect(uncertaintyNs).toBeGreaterThanOrEqual(0n)
    expect(rounds).toBeGreaterThanOrEqual(20)
  })

  it('says which registers this kernel lacks, and what is known of its clock', async () => {
    const kernel = new FailingKernel(new SoftwareKernel({ without: ['VTB', 'SPURR'] }))
    using host = new Host(kernel)
    const known = await rehearse(host, { vcpus: 2 })
    expect(known.registers).toEqual(['TB_OFFSET', 'DEC_EXPIRY', 'PURR'])
    expect(known.clock).toEqual(host.sample().clock)
    expect(known.clock).toBeDefined()
    kernel.fail({ errno: 'ENOSYS', operation: 'adjtimex', times: 1e6 })
    expect(await rehearse(host, { vcpus: 2 })).not.toHaveProperty('clock')
  })

  it('is one of as many vCPUs as asked for', { timeout }, async () => {
    const created: number[] = []
    class Kernel extends SoftwareKernel {
      override createVcpu(vmFd: number, id: number): number {
        created.push(id)
        return super.createVcpu(vmFd, id)
      }
    }
    using host = new Host(new Kernel())
    await rehearse(host, { vcpus: 3 })
    expect(created).toEqual([0, 1, 2])
  })

  it('leaves the event loop its turn, and no VM behind', { timeout }, async () => {
    const kernel = new CountingKernel()
    using host = new Host(kernel)
    const rehearsed = rehearse(host, { vcpus: 256 })
    expect(kernel.vms.size).toBe(1)
    const end = rehearsed.then(() => 'over')
    let turns = 0
    while ((await Promise.race([end, setImmediate('turn')])) === 'turn') turns++
    expect(turns).toBeGreaterThan(3)
    expect(kernel.vms.size).toBe(0)
  })

  it('is not published, and what comes after it is', { timeout }, async () => {
    using host = openHost({ backend: 'software' })
    const heard: string[] = []
    const listen = (_: unknown, name: string | symbol) => heard.push(String(name))
    const calls = [SAVE_CHANNEL, LOAD_CHANNEL].map((name) => `tracing:${name}:start`)
    const names = [...calls, TIMEBASE_ADJUST_CHANNEL]
    for (const name of names) subscribe(name, listen)
    try {
      await rehearse(host)
      expect(heard).toEqual([])
      saveTimebase([host.createVm().createVcpu(0)])
      expect(heard).toEqual([`tracing:${SAVE_CHANNEL}:start`])
    } finally {
      for (const name of names) unsubscribe(name, listen)
    }
  })
})

describe('a rehearsal is refused', () => {
  it('by a kernel without TB_OFFSET, and leaves no VM behind', async () => {
    const kernel = new CountingKernel({ without: ['TB_OFFSET'] })
    using host = new Host(kernel)
    await expect(rehearse(host)).rejects.toMatchObject({
      code: 'ERR_KVM_UNAVAILABLE',
      reason: 'no-timebase-offset',
    })
    expect(kernel.vms.size).toBe(0)
  })

  it.each([0, 1, 40])('where a load would fail, after %s writes', async (skip) => {
    const counting = new CountingKernel()
    const kernel = new FailingKernel(counting)
    using host = new Host(kernel)
    kernel.fail({ errno: 'EIO', operation: 'KVM_SET_ONE_REG', skip })
    await expect(rehearse(host)).rejects.toMatchObject({ code: 'ERR_TIMEBASE_NOT_APPLIED' })
    expect(counting.vms.size).toBe(0)
  })

  it('for a guest that the kernel does not make', async () => {
    const kernel = new FailingKernel(new SoftwareKernel())
    using host = new Host(kernel)
    kernel.fail({ errno: 'EINVAL', operation: 'KVM_CREATE_VCPU', skip: 7 })
    await expect(rehearse(host, { vcpus: 8 })).rejects.toMatchObject({
      code: 'EINVAL',
      operation: 'KVM_CREATE_VCPU',
      vcpu: 7,
    })
  })

  it('for wrong arguments', async () => {
    using host = openHost({ backend: 'software' })
    await expect(rehearse({} as never)).rejects.toThrow(/^host must be a Host/)
    for (const vcpus of [0, -1, 1.5, 16_385]) {
      const error: unknown = await rehearse(host, { vcpus }).catch((error: unknown) => error)
      expect(error).toBeInstanceOf(RangeError)
      expect(String(error)).toMatch(/options\.vcpus must be .*16384/)
    }
    for (const [options, message] of [
      [5, /^options must be an object/],
      [{ vcpus: 1n }, /^options\.vcpus must be/],
      [{ cpus: 1 }, /^options may have only 'vcpus'/],
    ] as const) {
      await expect(rehearse(host, options as never)).rejects.toThrow(message)
      await expect(rehearse(host, options as never)).rejects.toThrow(TypeError)
    }
    host.close()
    await expect(rehearse(host)).rejects.toMatchObject({ code: 'ERR_KVM_CLOSED' })
  })
})
