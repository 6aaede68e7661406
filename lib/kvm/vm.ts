import { inspect } from 'node:util'
import { checkInteger } from '../checks.ts'
import { Descriptor, inWords } from './descriptor.ts'
import { closed, KvmError } from '../errors.ts'
import type { PresentRegisters } from './open-vcpu.ts'
import type { Faces, KvmSystem } from './system.ts'
import { Vcpu } from './vcpu.ts'

declare module './system.ts' {
  interface Faces {
    vm: Vm
  }
}

/**
 * A virtual machine, made by {@link Host.createVm}. It owns its vCPUs.
 *
 * @group Hosts and vCPUs
 */
export class Vm {
  readonly #system: KvmSystem
  readonly #descriptor: Descriptor
  readonly #present: PresentRegisters = { layout: undefined }

  /** @internal */
  constructor(system: KvmSystem, fd: number) {
    this.#system = system
    const { kernel, descriptor: parent } = system
    this.#descriptor = new Descriptor(this, 'a VM', fd, { kernel, parent })
  }

  /** The {@link Host} that made it. */
  get host(): Faces['host'] {
    return this.#system.host
  }

  /**
   * The VM's file descriptor.
   *
   * @throws OneRegError ERR_KVM_CLOSED
   */
  get fd(): number {
    const { fd } = this.#descriptor
    if (fd === undefined) throw closed('The VM')
    return fd
  }

  /**
   * KVM_CREATE_VCPU.
   *
   * @param id unique in the VM; which ids are possible is up to the kernel
   * @throws KvmError EINVAL or EEXIST if the id is taken, EINVAL if it is too high
   */
  createVcpu(id: number): Vcpu {
    checkInteger('id', id)
    const fd = this.#system.kernel.createVcpu(this.fd, id)
    if (fd < 0) throw new KvmError(fd, { operation: 'KVM_CREATE_VCPU', vcpu: id })
    return new Vcpu(this.#system, fd, id, {
      vm: this,
      parent: this.#descriptor,
      present: this.#present,
    })
  }

  /** Closes the vCPUs and the VM; the kernel then frees the guest. Closing twice does nothing. */
  close(): void {
    this.#system.close(this.#descriptor)
  }

  /** {@link close}, for `using`. */
  [Symbol.dispose](): void {
    this.close()
  }

  /** @internal One line for console.log, without what is private. */
  [inspect.custom](): string {
    // A proxy of one.
    if (!(#system in this)) return 'Vm'
    return `Vm ${inWords(this.#descriptor, this.#system)}`
  }
}
