import { setImmediate } from 'node:timers/promises'
import { describe, expect, it, vi } from 'vitest'
import { addToAll, CallQueue } from '../../lib/kvm/call-queue.ts'

describe('a queue of calls', () => {
  it('is idle once the last of several has ended, and says so once', async () => {
    const queue = new CallQueue()
    const ends: (() => void)[] = []
    const turns = [0, 1, 2].map(() =>
      queue.add(
        () =>
          new Promise<void>((resolve) => {
            ends.push(resolve)
          }),
      ),
    )
    const idle = vi.fn()
    queue.whenIdle(idle)
    for (const turn of turns) {
      await vi.waitUntil(() => ends.length > 0)
      expect(idle).not.toHaveBeenCalled()
      ends.shift()?.()
      await turn
    }
    await vi.waitUntil(() => idle.mock.calls.length > 0)
    expect(idle).toHaveBeenCalledTimes(1)
  })

  it('of several calls with one signal rejects those that still wait when it is aborted', async () => {
    const queue = new CallQueue()
    const controller = new AbortController()
    const { signal } = controller
    const never = new Promise<number>(() => undefined)
    const ended = queue.add(() => Promise.resolve(2), signal)
    const left = queue.add(() => never, signal)
    await expect(ended).resolves.toBe(2)
    controller.abort()
    await expect(left).rejects.toMatchObject({ name: 'AbortError' })
  })

  it('is idle at once if there is no call', () => {
    const idle = vi.fn()
    new CallQueue().whenIdle(idle)
    expect(idle).toHaveBeenCalledTimes(1)
  })

  it.each([
    ['a signal', () => new AbortController().signal],
    ['no signal', () => undefined],
  ])('rejects a call that fails, with %s, and goes on to the next', async (_, signal) => {
    const queue = new CallQueue()
    const error = new Error('the call failed')
    const failing = queue.add(() => Promise.reject(error), signal())
    const next = queue.add(() => Promise.resolve('next'), signal())
    await expect(failing).rejects.toBe(error)
    expect(await next).toBe('next')
  })
})

describe('a call for several queues', () => {
  const busy = (queue: CallQueue): (() => void) => {
    let end = (): void => undefined
    void queue.add(
      () =>
        new Promise<void>((resolve) => {
          end = resolve
        }),
    )
    return () => {
      end()
    }
  }

  it('waits for each of them', async () => {
    const [one, other] = [new CallQueue(), new CallQueue()]
    const end = busy(other)
    const call = vi.fn(() => Promise.resolve('done'))
    const turn = addToAll([one, other, one], call)
    await setImmediate()
    expect(call).not.toHaveBeenCalled()
    end()
    expect(await turn).toBe('done')
  })

  it('is not made if it was aborted while it waited', async () => {
    const queue = new CallQueue()
    const end = busy(queue)
    const controller = new AbortController()
    const call = vi.fn(() => Promise.resolve())
    const turn = addToAll([queue], call, controller.signal)
    controller.abort()
    await expect(turn).rejects.toMatchObject({ code: 'ABORT_ERR' })
    end()
    await queue.add(() => Promise.resolve())
    expect(call).not.toHaveBeenCalled()
  })
})
