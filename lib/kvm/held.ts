import { ByNumber } from './by-number.ts'
import type { Descriptor } from './descriptor.ts'
import { OneRegError } from '../errors.ts'
import type { Kernel } from '../kernel/kernel.ts'

/** A guest that an aligned load has prepared, and that must not run before its timebase reaches a value. */
export interface Held {
  /** TB_OFFSET, in ticks, u64. */
  readonly offset: bigint
  /** The timebase at which the guest will go on, in ticks, u64. */
  readonly guestTimebase: bigint
}

interface HeldVcpu extends Held {
  readonly descriptor: Descriptor
}

// By file descriptor, since two objects may borrow the same vCPU.
const heldVcpus = new ByNumber<HeldVcpu>()

/**
 * Marks vCPUs as held, until the returned function is called.
 *
 * @param fds the file descriptors of the vCPUs
 */
export function hold(
  kernel: Kernel,
  descriptors: readonly Descriptor[],
  fds: Int32Array,
  { offset, guestTimebase }: Held,
): () => void {
  const byNumber = heldVcpus.on(kernel)
  descriptors.forEach((descriptor, index) => {
    byNumber.set(fds[index] ?? -1, { offset, guestTimebase, descriptor })
  })
  return () => {
    for (const fd of fds) byNumber.delete(fd)
  }
}

/** The entries of those of these vCPUs that are held, each with its index in `fds`. */
export function heldAmong(kernel: Kernel, fds: ArrayLike<number>): (Held & { index: number })[] {
  const byNumber = heldVcpus.peek(kernel)
  if (byNumber === undefined || byNumber.size === 0) return []
  return Array.from(fds).flatMap((fd, index) => {
    const found = byNumber.get(fd)
    // If the vCPU was closed in the meantime, another file may have got its number.
    return found?.descriptor.fd === fd ? { ...found, index } : []
  })
}

/**
 * Checks that no aligned load of these vCPUs waits.
 *
 * @throws OneRegError ERR_VCPU_HELD
 */
export function checkNotHeld(kernel: Kernel, fds: ArrayLike<number>, ids: readonly number[]): void {
  const [first] = heldAmong(kernel, fds)
  if (first === undefined) return
  throw new OneRegError(
    'ERR_VCPU_HELD',
    `An aligned load of vCPU ${ids[first.index] ?? '?'} waits for the instant at which the guest can go on: await its promise first`,
  )
}
