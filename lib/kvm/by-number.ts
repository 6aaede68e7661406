import type { Kernel } from '../kernel/kernel.ts'

/**
 * A map from file descriptors to values. With the real kernel a descriptor is the same file for all hosts of
 * the process; each model of a kernel has descriptors of its own.
 */
export class ByNumber<T> {
  readonly #ofRealKernel = new Map<number, T>()
  readonly #ofModels = new WeakMap<Kernel, Map<number, T>>()

  /** The values of a kernel; undefined for a model without any. */
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
