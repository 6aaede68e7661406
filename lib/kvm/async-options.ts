import { checkObject, checkOptionNames, wrongType } from '../checks.ts'

/**
 * The options of the methods of a {@link Vcpu} whose names end in `Async`.
 *
 * @group Hosts and vCPUs
 */
export interface AsyncOptions {
  /**
   * Rejects the promise with an AbortError as soon as the signal is aborted. A call that has begun in the
   * kernel cannot be cancelled: it ends when the vCPU leaves KVM_RUN, and a write may still happen.
   */
  readonly signal?: AbortSignal
}

/**
 * The signal of the options, if there is one.
 *
 * @throws TypeError
 */
export function checkAsyncOptions(options: AsyncOptions): AbortSignal | undefined {
  checkOptionNames('options', checkObject('options', options), ['signal'])
  const signal: unknown = options.signal
  if (signal === undefined) return undefined
  // Not instanceof: the signal may come from another realm.
  if (typeof signal === 'object' && signal !== null) {
    const { aborted, addEventListener } = signal as Partial<AbortSignal>
    if (typeof aborted === 'boolean' && typeof addEventListener === 'function') {
      return signal as AbortSignal
    }
  }
  throw wrongType('options.signal', 'an AbortSignal', signal)
}
