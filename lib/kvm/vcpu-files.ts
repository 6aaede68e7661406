import type { Kernel } from '../kernel/kernel.ts'
import { ByNumber } from './by-number.ts'
import type { Descriptor } from './descriptor.ts'

// Two vCPU objects may be of one file: one that made it and one that borrows it, or two that borrow it. Weak,
// so that an object which is dropped is garbage-collected, and its file closed.
const descriptors = new ByNumber<WeakRef<Descriptor>>()

/** The descriptor by which this library holds a vCPU's file already, if it does. */
export function descriptorOf(kernel: Kernel, fd: number): Descriptor | undefined {
  const found = descriptors.peek(kernel)?.get(fd)?.deref()
  return found?.isStill(fd) === true ? found : undefined
}

/** Remembers the descriptor of a vCPU for those who borrow its file after this. */
export function rememberDescriptor(kernel: Kernel, fd: number, descriptor: Descriptor): void {
  descriptors.on(kernel).set(fd, new WeakRef(descriptor))
}
