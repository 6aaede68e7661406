import { NO_REGISTER, OneRegBatch } from '../../lib/kernel/batch.ts'
import type { Operation } from '../../lib/testing/faults.ts'
import { registerNames, registers, registerSize } from '../../lib/registers.ts'
import type { RegisterName } from '../../lib/registers.ts'
import { SoftwareKernel } from '../../lib/kernel/software/kernel.ts'
import type { SoftwareKernelOptions } from '../../lib/kernel/software/kernel.ts'
import { FailingKernel } from '../../lib/testing/failing-kernel.ts'
import { STEP } from './host-pair.ts'

/** One call to the kernel, and what it was for. */
export interface Call {
  readonly operation: Operation
  readonly vcpu?: number
  readonly register?: RegisterName
}

const nameOf = new Map(registerNames.map((name) => [registers[name].id, name]))

/** A kernel whose calls can be made to fail, and that lists the calls of saves and loads. */
export class RecordingKernel extends FailingKernel {
  readonly log: Call[] = []
  /** The calls of the list that failed. */
  readonly failed: number[] = []
  readonly #ids = new Map<number, number>()

  override createVcpu(fd: number, id: number): number {
    const made = super.createVcpu(fd, id)
    if (made >= 0) this.#ids.set(made, id)
    return made
  }

  override getOneRegs(batch: OneRegBatch): number {
    const result = super.getOneRegs(batch)
    this.#recordBatch('KVM_GET_ONE_REG', batch)
    return result
  }

  override setOneRegs(batch: OneRegBatch): number {
    const result = super.setOneRegs(batch)
    this.#recordBatch('KVM_SET_ONE_REG', batch)
    return result
  }

  override sample(into: BigUint64Array): number {
    const result = super.sample(into)
    this.#record({ operation: 'clock_gettime' }, result)
    return result
  }

  #recordBatch(operation: Operation, { fds, ids, results, used }: OneRegBatch): void {
    ids.subarray(0, used).forEach((id, index) => {
      const vcpu = this.#ids.get(fds[index] ?? -1)
      const register = nameOf.get(id)
      if (id === NO_REGISTER) return
      if (vcpu === undefined || register === undefined) throw new Error('An unknown entry')
      this.#record({ operation, vcpu, register }, results[index] ?? 0)
    })
  }

  #record(call: Call, result: number): void {
    if (result < 0) this.failed.push(this.log.length)
    this.log.push(call)
  }
}

/** The outcome of a call: its result, 0 or `-errno`, and the register's value. */
export interface Answer {
  readonly result: number
  readonly value: bigint
}

/** The wrong answers of a {@link LyingKernel}; undefined lets the call go to the model. */
export interface Lies {
  /** KVM_GET_ONE_REG of a register of 64 bits. */
  readonly get?: (register: RegisterName, truth: Answer, fd: number) => Partial<Answer> | undefined
  /** KVM_SET_ONE_REG: with a result nothing is done, with a value another is written. */
  readonly set?: (register: RegisterName, value: bigint, fd: number) => Partial<Answer> | undefined
}

/** A model whose calls can report success without doing what they should. */
export class LyingKernel extends SoftwareKernel {
  readonly #lies: Lies

  constructor(lies: Lies, options: SoftwareKernelOptions = {}) {
    super(options)
    this.#lies = lies
  }

  override getOneRegs(batch: OneRegBatch): number {
    super.getOneRegs(batch)
    for (let index = 0; index < batch.used; index++) {
      const truth = { result: batch.results[index] ?? 0, value: batch.get64(index) }
      const name = nameOf.get(batch.ids[index] ?? 0n)
      const lie = name && this.#lies.get?.(name, truth, batch.fds[index] ?? -1)
      if (lie?.result !== undefined) batch.results[index] = lie.result
      if (lie?.value !== undefined) batch.set64(index, lie.value)
    }
    return firstFailure(batch)
  }

  override setOneRegs(batch: OneRegBatch): number {
    const one = new OneRegBatch(1)
    for (let index = 0; index < batch.used; index++) {
      const name = nameOf.get(batch.ids[index] ?? 0n)
      const lie = name && this.#lies.set?.(name, batch.get64(index), batch.fds[index] ?? -1)
      one.fds[0] = batch.fds[index] ?? -1
      one.ids[0] = batch.ids[index] ?? 0n
      one.values.set(batch.bytes(index, 16))
      if (lie?.value !== undefined) one.set64(0, lie.value)
      if (lie?.result === undefined) super.setOneRegs(one)
      batch.results[index] = lie?.result ?? one.results[0] ?? 0
    }
    return firstFailure(batch)
  }
}

function firstFailure({ results, used }: OneRegBatch): number {
  return results.subarray(0, used).find((result) => result < 0) ?? 0
}

/**
 * Says that it has set a register and leaves it at 0, as Linux did with TB_OFFSET on POWER9 DD1
 * (3d3efb68c19e).
 */
export class DeafKernel extends LyingKernel {
  constructor(deafTo: RegisterName, options: SoftwareKernelOptions = {}) {
    super({ set: (register) => (register === deafTo ? { value: 0n } : undefined) }, options)
  }
}

/**
 * Behaves like Linux 4.16 to 5.16, which store DEC_EXPIRY in ticks of the host's timebase but read and write it
 * in those of the guest's. So setting TB_OFFSET changes the value that is read (3c1a4322bba7).
 */
export class RelativeDecrementerKernel extends SoftwareKernel {
  readonly #vcpus = new Map<number, { offset: bigint; expiry: bigint }>()

  override createVcpu(fd: number, id: number): number {
    const made = super.createVcpu(fd, id)
    if (made >= 0) this.#vcpus.set(made, { offset: 0n, expiry: 0n })
    return made
  }

  override getOneReg(fd: number, id: bigint, value: Uint8Array): number {
    const result = super.getOneReg(fd, id, value)
    if (result === 0) this.#show(fd, id, value)
    return result
  }

  override setOneReg(fd: number, id: bigint, value: Uint8Array): number {
    const result = super.setOneReg(fd, id, value)
    if (result === 0) this.#keep(fd, id, value)
    return result
  }

  override getOneRegs(batch: OneRegBatch): number {
    const result = super.getOneRegs(batch)
    this.#eachDone(batch, (fd, id, value) => {
      this.#show(fd, id, value)
    })
    return result
  }

  override setOneRegs(batch: OneRegBatch): number {
    const result = super.setOneRegs(batch)
    this.#eachDone(batch, (fd, id, value) => {
      this.#keep(fd, id, value)
    })
    return result
  }

  #show(fd: number, id: bigint, value: Uint8Array): void {
    const vcpu = this.#vcpus.get(fd)
    if (vcpu === undefined || id !== registers.DEC_EXPIRY.id) return
    value.set(new Uint8Array(BigUint64Array.of(vcpu.expiry + vcpu.offset).buffer))
  }

  #keep(fd: number, id: bigint, value: Uint8Array): void {
    const vcpu = this.#vcpus.get(fd)
    if (vcpu === undefined || value.length !== 8) return
    const [word = 0n] = new BigUint64Array(value.slice().buffer)
    if (id === registers.TB_OFFSET.id) vcpu.offset = ((word + STEP - 1n) / STEP) * STEP
    if (id === registers.DEC_EXPIRY.id) vcpu.expiry = word - vcpu.offset
  }

  #eachDone(batch: OneRegBatch, then: (fd: number, id: bigint, value: Uint8Array) => void): void {
    batch.ids.subarray(0, batch.used).forEach((id, index) => {
      if (batch.results[index] !== 0) return
      then(batch.fds[index] ?? -1, id, batch.bytes(index, registerSize(id)))
    })
  }
}
