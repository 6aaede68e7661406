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

function unlessAborted<T>(turn: Promise<T>, signal: AbortSignal): Promise<T> {
  if (signal.aborted) return Promise.reject(aborted(signal))
  return new Promise<T>((resolve, reject) => {
    const onAbort = (): void => {
      reject(aborted(signal))
    }
    signal.addEventListener('abort', onAbort, { once: true })
    void turn.then(resolve, reject).then(() => {
      signal.removeEventListener('abort', onAbort)
    })
  })
}

/** As Node's own calls reject. */
function aborted(signal: AbortSignal): Error {
  const error = new Error('The operation was aborted', { cause: signal.reason })
  return Object.assign(error, { name: 'AbortError', code: 'ABORT_ERR' })
}
