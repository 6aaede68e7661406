import { inspect } from 'node:util'
import { OneRegBatch } from '../kernel/batch.ts'
import { checkAsyncOptions } from './async-options.ts'
import type { AsyncOptions } from './async-options.ts'
import { KvmError } from '../errors.ts'
import { wrongValue } from '../checks.ts'
import { putValue, takeValue } from './entries.ts'
import type { OneRegOperation } from '../kernel/kernel.ts'
import { layoutOf } from './layout.ts'
import { callBatch, callBatchAsync, checkResults } from './one-reg.ts'
import type { RegisterName, RegisterValue } from '../registers.ts'
import { lookUp } from '../register-values.ts'
import type { Faces } from './system.ts'

/** How many names console.log shows. */
const NAMED_AT_MOST = 8

/**
 * Some registers of a vCPU with memory of their own, made by {@link Vcpu.bind}. They can be read and written
 * again and again, each time in one crossing into C++ and without garbage.
 *
 * @group Registers
 */
export class BoundRegisters<N extends RegisterName = RegisterName> {
  /** The vCPU whose registers they are. */
  readonly vcpu: Faces['vcpu']
  readonly names: readonly N[]
  readonly #indexes: ReadonlyMap<unknown, number>
  readonly #batch: OneRegBatch

  /** @internal */
  constructor(vcpu: Faces['vcpu'], names: readonly N[]) {
    this.vcpu = vcpu
    this.names = Object.freeze(names)
    this.#indexes = new Map(names.map((name, index) => [name, index]))
    if (this.#indexes.size !== names.length) {
      throw wrongValue('names', 'names that differ', names)
    }
    this.#batch = new OneRegBatch(names.length)
    this.#batch.ids.set(layoutOf(names).ids)
    this.#batch.fds.fill(vcpu.fd)
  }

  /**
   * Reads all bound registers from the kernel, in one crossing.
   *
   * @throws OneRegError ERR_KVM_CLOSED
   * @throws KvmError for the first register that could not be read; {@link get} returns those that were read
   */
  read(): void {
    this.#call('KVM_GET_ONE_REG')
  }

  /**
   * Writes all bound registers to the kernel, in one crossing and in the order of the names. The values are
   * those that were {@link set} or read last.
   *
   * @throws OneRegError ERR_KVM_CLOSED
   * @throws KvmError for the first register that could not be written; the others were written all the same
   */
  write(): void {
    this.#call('KVM_SET_ONE_REG')
  }

  /**
   * {@link read} off the JavaScript thread; it rejects with the same errors. {@link get} has the new values
   * when it resolves.
   *
   * @param options a signal that ends the waiting
   */
  async readAsync(options: AsyncOptions = {}): Promise<void> {
    const read = await this.#callAsync('KVM_GET_ONE_REG', options)
    this.#batch.values.set(read.values)
    checkResults(read, 'KVM_GET_ONE_REG', this.names, this.vcpu.id)
  }

  /**
   * {@link write} off the JavaScript thread; it rejects with the same errors. The values are copied
   * before it returns.
   *
   * @param options a signal that ends the waiting
   */
  async writeAsync(options: AsyncOptions = {}): Promise<void> {
    const written = await this.#callAsync('KVM_SET_ONE_REG', options)
    checkResults(written, 'KVM_SET_ONE_REG', this.names, this.vcpu.id)
  }

  /**
   * Returns the value of a register that was read or set last, without a call to the kernel. A value of 128
   * bits is a copy.
   *
   * @param name one of the bound names
   */
  get<K extends N>(name: K): RegisterValue<K> {
    return takeValue(this.#batch, this.#index(name), lookUp(name).width) as RegisterValue<K>
  }

  /**
   * Sets the value that {@link write} will write, without a call to the kernel.
   *
   * @param name one of the bound names
   * @param value the value to keep until `write()`
   * @throws TypeError, RangeError for a value of the wrong type or range
   */
  set<K extends N>(name: K, value: RegisterValue<K>): void {
    putValue(this.#batch, this.#index(name), name, value)
  }

  /** @internal One line for console.log, without what is private. */
  [inspect.custom](): string {
    // A proxy of one.
    if (!(#batch in this)) return 'BoundRegisters'
    const { names } = this
    const more = names.length - NAMED_AT_MOST
    const list = [...names.slice(0, NAMED_AT_MOST), ...(more > 0 ? [`${more} more`] : [])]
    return `BoundRegisters of vCPU ${this.vcpu.id}: ${list.join(', ')}`
  }

  #index(name: N): number {
    const index = this.#indexes.get(name)
    if (index === undefined) {
      lookUp(name)
      throw wrongValue('the register', `one of those bound: ${this.names.join(', ')}`, name)
    }
    return index
  }

  /** Makes the calls for a copy of the batch, which can be used meanwhile. */
  async #callAsync(operation: OneRegOperation, options: AsyncOptions): Promise<OneRegBatch> {
    const signal = checkAsyncOptions(options)
    const { vcpu } = this
    vcpu.checkOpen()
    const copy = new OneRegBatch(this.#batch.count)
    copy.memory.set(this.#batch.memory)
    const result = await vcpu.descriptor.calls.add(() => {
      vcpu.checkOpen()
      return callBatchAsync(vcpu.system.kernel, operation, copy)
    }, signal)
    if (result < 0) throw new KvmError(result, { operation: 'pthread_create', vcpu: vcpu.id })
    return copy
  }

  #call(operation: OneRegOperation): void {
    const { vcpu } = this
    vcpu.checkOpen()
    const result = callBatch(vcpu.system.kernel, operation, this.#batch)
    if (result < 0) checkResults(this.#batch, operation, this.names, vcpu.id)
  }
}
