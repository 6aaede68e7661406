/**
 * Calls off the JavaScript thread, one after the other. A vCPU runs one ioctl at a time anyway: calls
 * that all waited for it in the kernel would only take a thread each.
 */
export class CallQueue {
  #last: Promise<unknown> = Promise.resolve()
  #pending = 0
  #whenIdle: (() => void) | undefined

  /**
   * Makes a call once those before it have ended.
   *
   * @returns what the call gives; if `signal` is aborted, it rejects at once with an AbortError. A call
   *   that has begun runs to its end all the same, and those behind it wait for that.
   */
  add<T>(call: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    this.#pending++
    const turn = this.#last.then(() => {
      if (signal?.aborted) throw aborted(signal)
      return call()
    })
    this.#last = turn.then(
      () => {
        this.#ended()
      },
      () => {
        this.#ended()
      },
    )
    return signal === undefined ? turn : unlessAborted(turn, signal)
  }

  /** Calls back when no call is left: at once if there is none. */
  whenIdle(callback: () => void): void {
    if (this.#pending === 0) callback()
    else this.#whenIdle = callback
  }

  #ended(): void {
    if (--this.#pending === 0) this.#whenIdle?.()
  }
}

async function unlessAborted<T>(turn: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise: abort, stop } = whenAborted(signal)
  try {
    return await Promise.race([turn, abort])
  } finally {
    stop()
  }
}

function whenAborted(signal: AbortSignal): { promise: Promise<never>; stop: () => void } {
  let stop = (): void => undefined
  const promise = new Promise<never>((_resolve, reject) => {
    const onAbort = (): void => {
      reject(aborted(signal))
    }
    if (signal.aborted) onAbort()
    else signal.addEventListener('abort', onAbort, { once: true })
    stop = () => {
      signal.removeEventListener('abort', onAbort)
    }
  })
  return { promise, stop }
}

/** As Node's own calls reject. */
function aborted(signal: AbortSignal): Error {
  const error = new Error('The operation was aborted', { cause: signal.reason })
  return Object.assign(error, { name: 'AbortError', code: 'ABORT_ERR' })
}
