import type { OneRegBatch } from '../kernel/batch.ts'
import { errnos } from '../errno.ts'
import { KvmError } from '../errors.ts'
import type { Kernel, OneRegOperation } from '../kernel/kernel.ts'

// A signal can end a call with EINTR; the kernel has then done nothing, and the call is made again.
// KVM_CREATE_VM returns EINTR whenever a signal is pending (mm_take_all_locks in mm/mmap.c), as under
// `node --cpu-prof`, whose profiler sends one every millisecond. A vCPU's ioctl returns it only in a
// process that is being killed (mutex_lock_killable in kvm_vcpu_ioctl), so repeating that one does no
// harm. close(2) is never repeated: the number is free after the first call and may already belong to
// another file.

/** How often a call is made that is interrupted each time, before EINTR becomes its error. QEMU never gives up. */
export const INTERRUPTED_LIMIT = 100

/**
 * Makes a system call, again for as long as a signal interrupts it.
 *
 * @param call makes the call once
 * @returns the call's result, or `-errno`
 */
export function uninterrupted(call: () => number): number {
  let result = call()
  for (let left = INTERRUPTED_LIMIT - 1; left > 0 && result === -errnos.EINTR; left--) {
    result = call()
  }
  return result
}

/**
 * Reads or writes the registers of a batch. If a signal interrupts one entry, the whole batch is
 * repeated, since it may matter which register is written first.
 *
 * @returns 0, or the `-errno` of the first entry that failed
 */
export function callBatch(kernel: Kernel, operation: OneRegOperation, batch: OneRegBatch): number {
  return operation === 'KVM_GET_ONE_REG' ? getBatch(kernel, batch) : setBatch(kernel, batch)
}

/** {@link callBatch} with KVM_GET_ONE_REG, for the calls that a program makes most often. */
export function getBatch(kernel: Kernel, batch: OneRegBatch): number {
  const result = kernel.getOneRegs(batch)
  return result < 0 ? repeatInterrupted(kernel, 'KVM_GET_ONE_REG', batch, result) : result
}

/** {@link callBatch} with KVM_SET_ONE_REG. */
export function setBatch(kernel: Kernel, batch: OneRegBatch): number {
  const result = kernel.setOneRegs(batch)
  return result < 0 ? repeatInterrupted(kernel, 'KVM_SET_ONE_REG', batch, result) : result
}

function callOnce(kernel: Kernel, operation: OneRegOperation, batch: OneRegBatch): number {
  return operation === 'KVM_GET_ONE_REG' ? kernel.getOneRegs(batch) : kernel.setOneRegs(batch)
}

/** Apart from the functions above, which V8 inlines into their callers only while they are small. */
function repeatInterrupted(
  kernel: Kernel,
  operation: OneRegOperation,
  batch: OneRegBatch,
  result: number,
): number {
  let last = result
  for (let left = INTERRUPTED_LIMIT - 1; left > 0 && last < 0 && wasInterrupted(batch); left--) {
    last = callOnce(kernel, operation, batch)
  }
  return last
}

/**
 * {@link callBatch} off the JavaScript thread.
 *
 * @returns 0 once the calls were made, whatever became of each entry; `-errno` if no thread or memory
 *   could be had for them
 */
export async function callBatchAsync(
  kernel: Kernel,
  operation: OneRegOperation,
  batch: OneRegBatch,
): Promise<number> {
  const call = () =>
    operation === 'KVM_GET_ONE_REG' ? kernel.getOneRegsAsync(batch) : kernel.setOneRegsAsync(batch)
  let result = await call()
  for (let left = INTERRUPTED_LIMIT - 1; left > 0 && result >= 0 && wasInterrupted(batch); left--) {
    result = await call()
  }
  return result
}

function wasInterrupted({ results, used }: OneRegBatch): boolean {
  return results.subarray(0, used).includes(-errnos.EINTR)
}

/**
 * Throws the error of the first entry of a batch that failed, if one did.
 *
 * @param names the register of each entry
 * @param vcpu the vCPU's id
 * @throws KvmError
 */
export function checkResults(
  batch: OneRegBatch,
  operation: OneRegOperation,
  names: readonly string[],
  vcpu: number,
): void {
  names.forEach((register, index) => {
    const result = batch.results[index] ?? 0
    if (result < 0) throw new KvmError(result, { operation, register, vcpu })
  })
}
