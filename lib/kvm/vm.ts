import { checkInteger } from '../checks.ts'
import { Descriptor } from './descriptor.ts'
import { closed, KvmError } from '../errors.ts'
import type { Host } from './host.ts'
import { Vcpu } from './vcpu.ts'

/** A virtual machine, made by {@link Host.createVm}. It owns its vCPUs. */
export class Vm {
  readonly host: Host
  readonly #descriptor: Descriptor

  /** @internal */
  constructor(host: Host, fd: number, parent: Descriptor) {
    this.host = host
    const { kernel } = host
    this.#descriptor = new Descriptor(this, 'a VM', fd, {
      kernel,
      file: 'anon_inode:kvm-vm',
      parent,
    })
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
   * @param id unique in the VM; which ids there can be is the kernel's to say
   * @throws KvmError EINVAL if the id is taken or too high
   */
  createVcpu(id: number): Vcpu {
    const fd = this.host.kernel.createVcpu(this.fd, checkInteger('id', id))
    if (fd < 0) throw new KvmError(fd, { operation: 'KVM_CREATE_VCPU', vcpu: id })
    return new Vcpu(this.host, fd, id, { vm: this, parent: this.#descriptor })
  }

  /** Closes the vCPUs and the VM; the kernel then frees the guest. Closing twice does nothing. */
  close(): void {
    this.host.one.forget()
    this.#descriptor.close()
  }

  /** {@link close}, for `using`. */
  [Symbol.dispose](): void {
    this.close()
  }
}
