import type { Kernel } from '../kernel/kernel.ts'
import { ByNumber } from './by-number.ts'
import type { Descriptor } from './descriptor.ts'

// Two vCPU objects can have the same file: one that created the vCPU and one that borrows it, or two that borrow
// it. The references are weak, so that an object without users is garbage-collected and its file closed.
const descriptors = new ByNumber<WeakRef<Descriptor>>()

/** The descriptor that this library has of a vCPU's file already, if it has one. */
export function descriptorOf(kernel: Kernel, fd: number): Descriptor | undefined {
  const found = descriptors.peek(kernel)?.get(fd)?.deref()
  return found?.isStill(fd) === true ? found : undefined
}

/** Remembers the descriptor of a vCPU, for later objects that borrow the same file. */
export function rememberDescriptor(kernel: Kernel, fd: number, descriptor: Descriptor): void {
  descriptors.on(kernel).set(fd, new WeakRef(descriptor))
}
