import { NO_REGISTER, OneRegBatch } from '../../lib/batch.ts'
import { registerNames, registers, registerSize } from '../../lib/registers.ts'
import type { RegisterName } from '../../lib/registers.ts'
import { SoftwareKernel } from '../../lib/software.ts'
import type { SoftwareKernelOptions } from '../../lib/software.ts'
import type { Operation } from '../../lib/software/faults.ts'
import { PERIOD } from './hostPair.ts'

/** One call to the kernel, and what it was for. */
export interface Call {
  readonly operation: Operation
  readonly vcpu?: number
  readonly register?: RegisterName
}

const nameOf = new Map(registerNames.map((name) => [registers[name].id, name]))

/** A kernel that keeps a list of the calls that moving a timebase makes. */
export class RecordingKernel extends SoftwareKernel {
  readonly log: Call[] = []
  /** Which calls of the list failed. */
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

/**
 * A kernel that says it has set a register and leaves it at 0, as Linux did with TB_OFFSET on
 * POWER9 DD1 (3d3efb68c19e).
 */
export class DeafKernel extends SoftwareKernel {
  readonly #deafTo: bigint

  constructor(deafTo: RegisterName, options: SoftwareKernelOptions = {}) {
    super(options)
    this.#deafTo = registers[deafTo].id
  }

  override setOneReg(fd: number, id: bigint, value: Uint8Array): number {
    return super.setOneReg(fd, id, id === this.#deafTo ? new Uint8Array(value.length) : value)
  }

  override setOneRegs(batch: OneRegBatch): number {
    const heard = new OneRegBatch(batch.count)
    heard.memory.set(batch.memory)
    batch.ids.forEach((id, index) => {
      if (id === this.#deafTo) heard.bytes(index, 16).fill(0)
    })
    const result = super.setOneRegs(heard)
    batch.results.set(heard.results)
    return result
  }
}

/**
 * Linux 4.16 to 5.16: DEC_EXPIRY is in ticks of the guest's timebase at the API, and is kept in those
 * of the host, so what it reads as moves along when TB_OFFSET is set (3c1a4322bba7).
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
    if (id === registers.TB_OFFSET.id) vcpu.offset = ((word + PERIOD - 1n) / PERIOD) * PERIOD
    if (id === registers.DEC_EXPIRY.id) vcpu.expiry = word - vcpu.offset
  }

  #eachDone(batch: OneRegBatch, then: (fd: number, id: bigint, value: Uint8Array) => void): void {
    batch.ids.subarray(0, batch.used).forEach((id, index) => {
      if (batch.results[index] !== 0) return
      then(batch.fds[index] ?? -1, id, batch.bytes(index, registerSize(id)))
    })
  }
}
