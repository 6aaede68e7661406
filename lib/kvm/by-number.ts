import type { Kernel } from '../kernel/kernel.ts'

/**
 * Values by the number of a file descriptor. On the real kernel a number means the same file to all hosts
 * of the process; each model of a kernel has numbers of its own.
 */
export class ByNumber<T> {
  readonly #ofRealKernel = new Map<number, T>()
  readonly #ofModels = new WeakMap<Kernel, Map<number, T>>()

  /** The values of a kernel; undefined for a model of which there are none yet. */
  peek(kernel: Kernel): Map<number, T> | undefined {
    return kernel.backend === 'kvm' ? this.#ofRealKernel : this.#ofModels.get(kernel)
  }

  /** The values of a kernel, to add to. */
  on(kernel: Kernel): Map<number, T> {
    let values = this.peek(kernel)
    if (values === undefined) this.#ofModels.set(kernel, (values = new Map<number, T>()))
    return values
  }
}
