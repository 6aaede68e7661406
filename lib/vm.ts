import { checkInteger } from './checks.ts'
import { closed, KvmError } from './errors.ts'
import type { Host } from './host.ts'
import { Vcpu } from './vcpu.ts'

/** A virtual machine, made by {@link Host.createVm}. It owns its vCPUs. */
export class Vm {
  readonly host: Host
  readonly #vcpus = new Set<Vcpu>()
  readonly #closed: () => void
  #fd: number | undefined

  /** @internal */
  constructor(host: Host, fd: number, onClosed: () => void) {
    this.host = host
    this.#fd = fd
    this.#closed = onClosed
  }

  /**
   * The VM's file descriptor.
   *
   * @throws OneRegError ERR_KVM_CLOSED
   */
  get fd(): number {
    if (this.#fd === undefined) throw closed('The VM')
    return this.#fd
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
    const vcpu = new Vcpu(this.host, fd, id, () => {
      this.#vcpus.delete(vcpu)
      this.host.kernel.close(fd)
    })
    this.#vcpus.add(vcpu)
    return vcpu
  }

  /** Closes the vCPUs and the VM; the kernel then frees the guest. Closing twice does nothing. */
  close(): void {
    for (const vcpu of this.#vcpus) vcpu.close()
    const fd = this.#fd
    if (fd === undefined) return
    this.#fd = undefined
    this.#closed()
    this.host.kernel.close(fd)
  }

  [Symbol.dispose](): void {
    this.close()
  }
}
