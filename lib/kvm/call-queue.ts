/**
 * Makes calls off the JavaScript thread one after the other. The kernel runs one ioctl of a vCPU at a time
 * anyway, so calls that waited there would only take a thread each.
 */
export class CallQueue {
  #last: Promise<unknown> = Promise.resolve()
  #pending = 0
  #whenIdle: (() => void)[] = []

  /**
   * Makes a call once those before it have ended.
   *
   * @param call makes the call
   * @param signal rejects the promise with an AbortError as soon as it is aborted. A call that has begun runs
   *   to its end nevertheless, and later calls wait for that.
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

  /** Calls back when all calls have ended; at once if there are none. */
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
 * Makes one call for several vCPUs, after the earlier calls in each of their queues have ended. Later calls in
 * any of the queues wait for it.
 *
 * @param signal as in {@link CallQueue.add}
 */
export function addToAll<T>(
  queues: readonly CallQueue[],
  call: () => Promise<T>,
  signal?: AbortSignal,
): Promise<T> {
  // A set, since a call that is in a queue twice would wait for itself.
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
    // Ignored here, since the caller gets the same error from the promise `turn`.
    ended.catch(() => undefined)
  }
  return signal === undefined ? turn : unlessAborted(turn, signal)
}

/**
 * The callbacks that reject waiting calls, by signal. One listener serves all calls of a signal, since Node
 * warns of a leak when one event has more than ten listeners.
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
    // Errors of `stop` are ignored: it calls a method of the caller's object, and the promise is settled already.
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
 * @returns a function that ends this
 */
function onAbortOf(signal: AbortSignal, callback: () => void): () => void {
  const { callbacks, listener } = waiting.get(signal) ?? listenTo(signal)
  callbacks.add(callback)
  return () => {
    callbacks.delete(callback)
    if (callbacks.size > 0) return
    // An object that is only like a signal may not have this method; then the listener stays.
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
