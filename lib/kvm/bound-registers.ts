import { OneRegBatch } from '../kernel/batch.ts'
import { wrongValue } from '../checks.ts'
import { KvmError } from '../errors.ts'
import { repeatInterrupted } from './one-reg.ts'
import type { RegisterName, RegisterValue } from '../registers.ts'
import { lookUp, putValue, takeValue } from '../register-values.ts'
import type { OneRegOperation, Vcpu } from './vcpu.ts'

/**
 * Some registers of a vCPU, with memory of their own: made once by {@link Vcpu.bind}, then read and
 * written as often as one likes in one crossing each, without garbage.
 */
export class BoundRegisters<N extends RegisterName = RegisterName> {
  readonly vcpu: Vcpu
  readonly names: readonly N[]
  readonly #indexes: ReadonlyMap<unknown, number>
  readonly #batch: OneRegBatch

  /** @internal */
  constructor(vcpu: Vcpu, names: readonly N[]) {
    this.vcpu = vcpu
    this.names = Object.freeze(names)
    this.#indexes = new Map(names.map((name, index) => [name, index]))
    if (this.#indexes.size !== names.length) {
      throw wrongValue('names', 'names that differ', names)
    }
    this.#batch = new OneRegBatch(names.length)
    this.#batch.ids.set(names.map((name) => lookUp(name).id))
    this.#batch.fds.fill(vcpu.fd)
  }

  /**
   * Reads all of them from the kernel, in one crossing.
   *
   * @throws OneRegError ERR_KVM_CLOSED
   * @throws KvmError for the first that could not be read; {@link get} then tells what the others hold
   */
  read(): void {
    this.vcpu.checkOpen()
    const result = this.vcpu.host.kernel.getOneRegs(this.#batch)
    if (result < 0) this.#settle('KVM_GET_ONE_REG', result)
  }

  /**
   * Writes what was {@link set} or read before to the kernel, in one crossing and in the order of the
   * names.
   *
   * @throws OneRegError ERR_KVM_CLOSED
   * @throws KvmError for the first that could not be written; those after it were tried all the same
   */
  write(): void {
    this.vcpu.checkOpen()
    const result = this.vcpu.host.kernel.setOneRegs(this.#batch)
    if (result < 0) this.#settle('KVM_SET_ONE_REG', result)
  }

  /** What a register held when it was read, or was set to; no call to the kernel. 128 bits as a copy. */
  get<K extends N>(name: K): RegisterValue<K> {
    return takeValue(this.#batch, this.#index(name), lookUp(name).width) as RegisterValue<K>
  }

  /**
   * Sets what {@link write} will write; no call to the kernel.
   *
   * @throws TypeError, RangeError for a value of the wrong type or range
   */
  set<K extends N>(name: K, value: RegisterValue<K>): void {
    putValue(this.#batch, this.#index(name), name, value)
  }

  #index(name: N): number {
    const index = this.#indexes.get(name)
    if (index === undefined) {
      lookUp(name)
      throw wrongValue('the register', `one of those bound: ${this.names.join(', ')}`, name)
    }
    return index
  }

  /** What is left to do where a call failed: to make it again if a signal interrupted it, or to throw. */
  #settle(operation: OneRegOperation, failure: number): void {
    const { kernel } = this.vcpu.host
    const result = repeatInterrupted(this.#batch, failure, (batch) =>
      operation === 'KVM_GET_ONE_REG' ? kernel.getOneRegs(batch) : kernel.setOneRegs(batch),
    )
    if (result >= 0) return
    const register = this.names[this.#batch.results.indexOf(result)]
    throw new KvmError(result, { operation, register, vcpu: this.vcpu.id })
  }
}
