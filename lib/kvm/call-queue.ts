/**
 * Calls off the JavaScript thread, one after the other. A vCPU runs one ioctl at a time anyway: calls
 * that all waited for it in the kernel would only take a thread each.
 */
export class CallQueue {
  #last: Promise<unknown> = Promise.resolve()
  #pending = 0
  #whenIdle: (() => void)[] = []

  /**
   * Makes a call once those before it have ended.
   *
   * @param call makes the call
   * @param signal rejects the promise at once with an AbortError when it is aborted. A call that has
   *   begun runs to its end all the same, and those behind it wait for that.
   * @returns the result of the call
   */
  add<T>(call: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    this.#pending++
    const turn = this.#last.then(() => {
      if (signal?.aborted) throw aborted(signal)
      return call()
    })
    const ended = () => {
      this.#ended()
    }
    this.#last = turn.then(ended, ended)
    return signal === undefined ? turn : unlessAborted(turn, signal)
  }

  /** Calls back when no call is left: at once if there is none. */
  whenIdle(callback: () => void): void {
    if (this.#pending === 0) callback()
    else this.#whenIdle.push(callback)
  }

  #ended(): void {
    if (--this.#pending > 0) return
    for (const callback of this.#whenIdle.splice(0)) callback()
  }
}

/**
 * Makes one call for several vCPUs, once those before it in each of their queues have ended. Those behind
 * it in any of the queues wait for it.
 *
 * @param signal as in {@link CallQueue.add}
 */
export function addToAll<T>(
  queues: readonly CallQueue[],
  call: () => Promise<T>,
  signal?: AbortSignal,
): Promise<T> {
  // Each once: a call cannot wait for itself.
  const each = new Set(queues)
  let waiting = each.size
  let begin = (): void => undefined
  const turn = new Promise<void>((resolve) => {
    begin = resolve
  }).then(() => {
    if (signal?.aborted) throw aborted(signal)
    return call()
  })
  for (const queue of each) {
    const ended = queue.add(() => {
      if (--waiting === 0) begin()
      return turn
    })
    // The caller has the promise of the turn itself.
    ended.catch(() => undefined)
  }
  return signal === undefined ? turn : unlessAborted(turn, signal)
}

/**
 * What rejects the calls that wait, by their signal. One listener serves all calls of a signal, since Node
 * takes more than ten listeners of one event for a leak and warns.
 */
const waiting = new WeakMap<AbortSignal, Waiting>()

interface Waiting {
  readonly callbacks: Set<() => void>
  readonly listener: () => void
}

function unlessAborted<T>(turn: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const onAbort = (): void => {
      reject(aborted(signal))
    }
    const stop = onAbortOf(signal, onAbort)
    // The caller's object may throw then, when the call has its outcome already.
    turn
      .then(resolve, reject)
      .then(stop)
      .catch(() => undefined)
    if (signal.aborted) onAbort()
  })
}

/**
 * Calls back when a signal is aborted.
 *
 * @returns to be called when that is no longer wanted
 */
function onAbortOf(signal: AbortSignal, callback: () => void): () => void {
  const { callbacks, listener } = waiting.get(signal) ?? listenTo(signal)
  callbacks.add(callback)
  return () => {
    callbacks.delete(callback)
    if (callbacks.size > 0) return
    // An object that only looks like a signal may lack it, and then keeps the listener.
    const { removeEventListener } = signal as Partial<AbortSignal>
    if (typeof removeEventListener !== 'function') return
    removeEventListener.call(signal, 'abort', listener)
    waiting.delete(signal)
  }
}

function listenTo(signal: AbortSignal): Waiting {
  const callbacks = new Set<() => void>()
  const listener = (): void => {
    for (const callback of callbacks) callback()
  }
  signal.addEventListener('abort', listener)
  const added = { callbacks, listener }
  waiting.set(signal, added)
  return added
}

/** An error like those of Node's own calls. */
function aborted(signal: AbortSignal): Error {
  const error = new Error('The operation was aborted', { cause: signal.reason })
  return Object.assign(error, { name: 'AbortError', code: 'ABORT_ERR' })
}
