import { KvmError } from '../errors.ts'
import type { OneRegBatch } from '../kernel/batch.ts'
import type { OneRegOperation } from '../kernel/kernel.ts'
import { callBatch, callBatchAsync } from './one-reg.ts'
import type { OpenVcpu } from './open-vcpu.ts'

/** One call for a batch. A snapshot and a restore are made of such steps, so that they can run off the thread too. */
interface Step {
  readonly operation: OneRegOperation
  readonly batch: OneRegBatch
}

export type Steps<T> = Generator<Step, T, undefined>

/** Makes the calls of a snapshot or a restore on this thread. */
export function runSteps<T>(vcpu: OpenVcpu, steps: Steps<T>): T {
  for (;;) {
    const next = steps.next()
    if (next.done) return next.value
    const { operation, batch } = next.value
    batch.fds.fill(vcpu.fd, 0, batch.used)
    callBatch(vcpu.system.kernel, operation, batch)
  }
}

/** {@link runSteps} off the JavaScript thread, each step in the queue of the vCPU. */
export async function runStepsAsync<T>(
  vcpu: OpenVcpu,
  steps: Steps<T>,
  signal: AbortSignal | undefined,
): Promise<T> {
  for (;;) {
    const next = steps.next()
    if (next.done) return next.value
    const { operation, batch } = next.value
    const result = await vcpu.descriptor.calls.add(() => {
      batch.fds.fill(vcpu.fd, 0, batch.used)
      return callBatchAsync(vcpu.system.kernel, operation, batch)
    }, signal)
    if (result < 0) throw new KvmError(result, { operation: 'pthread_create', vcpu: vcpu.id })
  }
}
