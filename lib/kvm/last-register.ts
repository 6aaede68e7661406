import { OneRegBatch } from '../kernel/batch.ts'
import type { Descriptor } from './descriptor.ts'
import { lookUp } from '../register-values.ts'
import type { Register } from '../registers.ts'
import type { Vcpu } from './vcpu.ts'

/**
 * The register that was asked for last, and of which vCPU: whoever watches one asks for it again and
 * again, and finds all of it in place.
 */
export class OneRegister {
  readonly batch = new OneRegBatch(1)
  /** Its value, if it is of 64 bits. */
  readonly word = this.batch.words64
  /** The vCPU's; the vCPU itself may become garbage. */
  descriptor: Descriptor | undefined
  name: unknown
  width: Register['width'] = 64

  /**
   * Puts another one in place.
   *
   * @throws TypeError for an unknown name
   * @throws OneRegError ERR_KVM_CLOSED
   */
  select(vcpu: Vcpu, name: unknown): void {
    this.forget()
    const register = lookUp(name)
    this.batch.fds[0] = vcpu.fd
    this.batch.ids[0] = register.id
    this.descriptor = vcpu.descriptor
    this.name = name
    this.width = register.width
  }

  /** Its descriptor is about to be closed. */
  forget(): void {
    this.descriptor = undefined
  }
}
