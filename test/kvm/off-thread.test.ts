import { getEventListeners } from 'node:events'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { describe, expect, it, vi } from 'vitest'
import type { OneRegBatch } from '../../lib/kernel/batch.ts'
import { Host } from '../../lib/kvm/host.ts'
import { SoftwareKernel } from '../../lib/kernel/software/kernel.ts'
import { FailingKernel } from '../../lib/testing/failing-kernel.ts'
import type { AsyncOptions } from '../../lib/kvm/async-options.ts'
import type { Vcpu } from '../../lib/kvm/vcpu.ts'

/** A kernel with vCPUs that run: calls off the thread wait until they are let through, one by one. */
class RunningKernel extends SoftwareKernel {
  readonly #waiting: (() => void)[] = []

  get waiting(): number {
    return this.#waiting.length
  }

  /** Stops the vCPU for as long as one call takes. */
  async kick(): Promise<void> {
    this.#waiting.shift()?.()
    for (let turn = 0; turn < 5; turn++) await nextTurn()
  }

  override async getOneRegsAsync(batch: OneRegBatch): Promise<number> {
    await this.#stopped()
    return super.getOneRegsAsync(batch)
  }

  override async setOneRegsAsync(batch: OneRegBatch): Promise<number> {
    await this.#stopped()
    return super.setOneRegsAsync(batch)
  }

  #stopped(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve))
  }
}

function running(): { kernel: RunningKernel; host: Host; vcpu: Vcpu } {
  const kernel = new RunningKernel()
  const host = new Host(kernel)
  return { kernel, host, vcpu: host.createVm().createVcpu(0) }
}

function stopped(): { kernel: FailingKernel; host: Host; vcpu: Vcpu } {
  const kernel = new FailingKernel(new SoftwareKernel())
  const host = new Host(kernel)
  return { kernel, host, vcpu: host.createVm().createVcpu(0) }
}

/** How a promise has ended so far. */
function fateOf(promise: Promise<unknown>): { is: string } {
  const fate = { is: 'pending' }
  promise.then(
    () => (fate.is = 'fulfilled'),
    (error: unknown) => {
      fate.is = `rejected: ${(error as { code?: string }).code ?? ''}`
    },
  )
  return fate
}

describe('calls off the JavaScript thread', () => {
  it('get and set what the synchronous ones do, of every width', async () => {
    const { vcpu } = stopped()
    const bytes = Uint8Array.from({ length: 16 }, (_, index) => index)
    await vcpu.setAsync('DSISR', 7)
    await vcpu.setAsync('DAR', 2n ** 64n - 1n)
    await vcpu.setAsync('VR0', bytes)
    expect([vcpu.get('DSISR'), vcpu.get('DAR'), vcpu.get('VR0')]).toEqual([
      7,
      2n ** 64n - 1n,
      bytes,
    ])
    expect(await vcpu.getAsync('DSISR')).toBe(7)
    expect(await vcpu.getAsync('DAR')).toBe(2n ** 64n - 1n)
    expect(await vcpu.getAsync('VR0')).toEqual(bytes)
    expect(await vcpu.readAsync(['VR0', 'DAR'])).toEqual({ VR0: bytes, DAR: 2n ** 64n - 1n })
    await vcpu.writeAsync({ DAR: 1n, DSISR: 2 })
    expect(vcpu.read(['DAR', 'DSISR'])).toEqual({ DAR: 1n, DSISR: 2 })
  })

  it('begin one at a time and in their order by two objects for one vCPU, borrowed or not', async () => {
    const kernel = new RunningKernel()
    const vcpu = new Host(kernel).createVm().createVcpu(0)
    const [one, other] = [new Host(kernel).vcpu(vcpu.fd, 0), new Host(kernel).vcpu(vcpu.fd, 0)]
    const done: string[] = []
    const calls = [
      one.setAsync('DAR', 1n).then(() => done.push('one')),
      other.getAsync('DAR').then((value) => done.push(`other: ${value}`)),
      vcpu.setAsync('DAR', 2n).then(() => done.push('vcpu')),
    ]
    await nextTurn()
    for (let left = calls.length; left > 0; left--) {
      expect(kernel.waiting).toBe(1)
      await kernel.kick()
    }
    await Promise.all(calls)
    expect(done).toEqual(['one', 'other: 1', 'vcpu'])
  })

  it('may be of no registers', async () => {
    const { vcpu } = stopped()
    expect(await vcpu.readAsync([])).toEqual({})
    await expect(vcpu.writeAsync({})).resolves.toBeUndefined()
  })

  it('reject with the errors of the synchronous ones', async () => {
    const { kernel, vcpu } = stopped()
    await expect(vcpu.getAsync('IAC1')).rejects.toMatchObject({
      name: 'KvmError',
      code: 'EINVAL',
      operation: 'KVM_GET_ONE_REG',
      register: 'IAC1',
      vcpu: 0,
    })
    kernel.fail({ errno: 'EIO', register: 'DAR' })
    await expect(vcpu.writeAsync({ DSISR: 1, DAR: 1n })).rejects.toMatchObject({
      code: 'EIO',
      operation: 'KVM_SET_ONE_REG',
      register: 'DAR',
    })
    expect(vcpu.get('DSISR')).toBe(1)
    kernel.fail({ errno: 'ENXIO', register: 'DAR' })
    await expect(vcpu.setAsync('DAR', 1n)).rejects.toMatchObject({
      code: 'ENXIO',
      operation: 'KVM_SET_ONE_REG',
    })
  })

  it('reject wrong arguments before any system call', async () => {
    const { kernel, vcpu } = stopped()
    const { calls } = kernel
    const wrong = { code: 'ERR_INVALID_ARG_TYPE' }
    await expect(vcpu.getAsync(5 as never)).rejects.toMatchObject(wrong)
    await expect(vcpu.getAsync('NONE' as never)).rejects.toThrow(TypeError)
    await expect(vcpu.setAsync('NONE' as never, 1n as never)).rejects.toThrow(TypeError)
    await expect(vcpu.setAsync('DAR', 5 as never)).rejects.toMatchObject(wrong)
    await expect(vcpu.setAsync('DAR', -1n)).rejects.toThrow(RangeError)
    await expect(vcpu.readAsync('DAR' as never)).rejects.toMatchObject(wrong)
    await expect(vcpu.writeAsync(null as never)).rejects.toMatchObject(wrong)
    for (const options of [null, 5, { signal: null }, { signal: {} }]) {
      await expect(vcpu.getAsync('DAR', options as never)).rejects.toMatchObject(wrong)
    }
    await expect(vcpu.getAsync('DAR', { sginal: 1 } as AsyncOptions)).rejects.toThrow(/sginal/)
    expect(kernel.calls).toBe(calls)
  })

  it('say so when no thread can be had', async () => {
    const { kernel, vcpu } = stopped()
    vi.spyOn(kernel, 'getOneRegsAsync').mockResolvedValue(-11)
    await expect(vcpu.getAsync('DAR')).rejects.toMatchObject({
      code: 'EAGAIN',
      operation: 'pthread_create',
      vcpu: 0,
    })
  })

  it('take what they are given when they are called', async () => {
    const { kernel, vcpu } = running()
    const values = { DAR: 1n }
    const names: ('DAR' | 'DSISR')[] = ['DAR']
    const calls = Promise.all([vcpu.writeAsync(values), vcpu.readAsync(names)])
    values.DAR = 2n
    names.push('DSISR')
    await nextTurn()
    await kernel.kick()
    await kernel.kick()
    expect(await calls).toEqual([undefined, { DAR: 1n }])
  })

  it('begin in the order in which they were made, one at a time on a vCPU', async () => {
    const { kernel, vcpu } = running()
    const calls = Promise.all([
      vcpu.setAsync('DAR', 1n),
      vcpu.getAsync('DAR'),
      vcpu.setAsync('DAR', 2n),
      vcpu.getAsync('DAR'),
    ])
    for (let call = 0; call < 4; call++) {
      await nextTurn()
      expect(kernel.waiting).toBe(1)
      await kernel.kick()
    }
    expect(await calls).toEqual([undefined, 1n, undefined, 2n])
  })

  it('wait side by side on several vCPUs', async () => {
    const { kernel, host } = running()
    const vm = host.createVm()
    const calls = [0, 1, 2].map((id) => vm.createVcpu(id).getAsync('DAR'))
    await nextTurn()
    expect(kernel.waiting).toBe(3)
    for (let call = 0; call < 3; call++) await kernel.kick()
    expect(await Promise.all(calls)).toEqual([0n, 0n, 0n])
  })

  it('go on after one that failed', async () => {
    const { vcpu } = stopped()
    const [bad, good] = await Promise.allSettled([vcpu.getAsync('IAC1'), vcpu.getAsync('DAR')])
    expect(bad.status).toBe('rejected')
    expect(good).toEqual({ status: 'fulfilled', value: 0n })
  })
})

describe('an AbortSignal', () => {
  it('that is aborted already rejects, and no call is made', async () => {
    const { kernel, vcpu } = stopped()
    const { calls } = kernel
    const reason = new Error('enough')
    const error: unknown = await vcpu
      .setAsync('DAR', 1n, { signal: AbortSignal.abort(reason) })
      .catch((error: unknown) => error)
    expect(error).toMatchObject({
      name: 'AbortError',
      code: 'ABORT_ERR',
      message: 'The operation was aborted',
      cause: reason,
    })
    expect(kernel.calls).toBe(calls)
  })

  it('that is aborted already does not wait for the call before', async () => {
    const { kernel, vcpu } = running()
    const first = vcpu.getAsync('DAR')
    const second = fateOf(vcpu.setAsync('DAR', 5n, { signal: AbortSignal.abort() }))
    await nextTurn()
    expect(second.is).toBe('rejected: ABORT_ERR')
    await kernel.kick()
    expect(await first).toBe(0n)
    expect(kernel.waiting).toBe(0)
    expect(vcpu.get('DAR')).toBe(0n)
  })

  it('rejects a call in flight at once; the call still ends, and those behind it wait for that', async () => {
    const { kernel, vcpu } = running()
    const controller = new AbortController()
    const aborted = fateOf(vcpu.setAsync('DAR', 5n, { signal: controller.signal }))
    const next = vcpu.getAsync('DAR')
    await nextTurn()
    controller.abort()
    await nextTurn()
    expect(aborted.is).toBe('rejected: ABORT_ERR')
    expect(kernel.waiting).toBe(1)
    await kernel.kick()
    await kernel.kick()
    expect(await next).toBe(5n)
  })

  it('takes a call that has not begun out of the queue', async () => {
    const { kernel, vcpu } = running()
    const controller = new AbortController()
    const first = vcpu.getAsync('DAR')
    const second = fateOf(vcpu.setAsync('DAR', 5n, { signal: controller.signal }))
    controller.abort()
    await nextTurn()
    expect(second.is).toBe('rejected: ABORT_ERR')
    await kernel.kick()
    expect(await first).toBe(0n)
    expect(kernel.waiting).toBe(0)
    expect(vcpu.get('DAR')).toBe(0n)
  })

  it('is let go of afterwards', async () => {
    const { vcpu } = stopped()
    const { signal } = new AbortController()
    const call = vcpu.getAsync('DAR', { signal })
    expect(getEventListeners(signal, 'abort')).toHaveLength(1)
    await call
    expect(getEventListeners(signal, 'abort')).toHaveLength(0)
  })
})

describe('closing', () => {
  it('keeps the descriptor open until the call in flight has ended', async () => {
    const { kernel, vcpu } = running()
    const { fd } = vcpu
    const call = fateOf(vcpu.getAsync('DAR'))
    await nextTurn()
    vcpu.close()
    expect(() => vcpu.get('DAR')).toThrow(expect.objectContaining({ code: 'ERR_KVM_CLOSED' }))
    expect(kernel.describe(fd)).toBe('anon_inode:kvm-vcpu:0')
    await kernel.kick()
    expect(call.is).toBe('fulfilled')
    expect(kernel.describe(fd)).toBe(-9)
  })

  it('rejects the calls that have not begun', async () => {
    const { kernel, host, vcpu } = running()
    const { fd } = vcpu
    const [first, second, third] = [
      fateOf(vcpu.getAsync('DAR')),
      fateOf(vcpu.getAsync('DAR')),
      fateOf(vcpu.setAsync('DAR', 1n)),
    ]
    await nextTurn()
    host.close()
    await kernel.kick()
    expect([first.is, second.is, third.is]).toEqual([
      'fulfilled',
      'rejected: ERR_KVM_CLOSED',
      'rejected: ERR_KVM_CLOSED',
    ])
    expect(kernel.describe(fd)).toBe(-9)
  })

  it('refuses calls from then on', async () => {
    const { vcpu } = stopped()
    vcpu.close()
    const closed = { code: 'ERR_KVM_CLOSED' }
    await expect(vcpu.getAsync('DAR')).rejects.toMatchObject(closed)
    await expect(vcpu.writeAsync({ DAR: 1n })).rejects.toMatchObject(closed)
  })

  it('leaves a borrowed descriptor open, in flight or not', async () => {
    const { kernel, host, vcpu } = running()
    const borrowed = host.vcpu(vcpu.fd, 0)
    const call = fateOf(borrowed.getAsync('DAR'))
    await nextTurn()
    borrowed.close()
    await kernel.kick()
    expect(call.is).toBe('fulfilled')
    expect(vcpu.get('DAR')).toBe(0n)
  })
})
