import { ByNumber } from './by-number.ts'
import type { Descriptor } from './descriptor.ts'
import { OneRegError } from '../errors.ts'
import type { Kernel } from '../kernel/kernel.ts'

/** The guest that an aligned load has prepared: it may go on once its timebase has reached a value. */
export interface Held {
  /** TB_OFFSET, in ticks, u64. */
  readonly offset: bigint
  /** What the guest will read first, in ticks, u64. */
  readonly guestTimebase: bigint
}

interface HeldVcpu extends Held {
  readonly descriptor: Descriptor
}

// By the number of the file, not by the object that the caller holds: a borrowed vCPU may be held by two.
const heldVcpus = new ByNumber<HeldVcpu>()

/**
 * Holds vCPUs until the function that is returned is called.
 *
 * @param fds the numbers of the descriptors
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

/** For which guests vCPUs are held: an entry for each that is, with its index among the descriptors. */
export function heldAmong(kernel: Kernel, fds: ArrayLike<number>): (Held & { index: number })[] {
  const byNumber = heldVcpus.peek(kernel)
  if (byNumber === undefined || byNumber.size === 0) return []
  return Array.from(fds).flatMap((fd, index) => {
    const found = byNumber.get(fd)
    // A vCPU that was closed meanwhile may have left its number to another.
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
