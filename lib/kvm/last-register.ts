import { OneRegBatch } from '../kernel/batch.ts'
import type { Descriptor } from './descriptor.ts'
import { lookUp } from '../register-values.ts'
import type { RegisterWidth } from '../registers.ts'

/**
 * The register that was read or written last, with its vCPU, ready in a batch. A program that watches
 * one register asks for it again and again, and then nothing has to be prepared.
 */
export class LastRegister {
  readonly batch = new OneRegBatch(1)
  /** The register's value, if it has 64 bits. */
  readonly word: BigUint64Array = this.batch.words64
  /** The vCPU's descriptor; not the vCPU, which may be garbage-collected. */
  descriptor: Descriptor | undefined
  name: unknown
  width: RegisterWidth = 64

  /**
   * Prepares the batch for another register or vCPU.
   *
   * @param descriptor the vCPU's
   * @param fd its number
   * @throws TypeError for an unknown name
   */
  select(descriptor: Descriptor, fd: number, name: unknown): void {
    this.forget()
    const register = lookUp(name)
    this.batch.fds[0] = fd
    this.batch.ids[0] = register.id
    this.descriptor = descriptor
    this.name = name
    this.width = register.width
  }

  /** To be called before any descriptor is closed: the number in the batch may become another file's. */
  forget(): void {
    this.descriptor = undefined
  }
}
