import { AssertionError } from 'node:assert'
import { checkBatch, OneRegBatch } from '../kernel/batch.ts'
import { errnos } from '../errno.ts'
import { Faults } from './faults.ts'
import type { Fault, Operation } from './faults.ts'
import type { Kernel, OneRegOperation } from '../kernel/kernel.ts'
import { SoftwareKernel } from '../kernel/software/kernel.ts'
import { registerSize } from '../registers.ts'

const MAX_REGISTER_SIZE = 16

/**
 * A kernel whose calls fail when a test asks for it. It wraps any other kernel, also the real one, and
 * passes all other calls on to it:
 *
 *     const kernel = new FailingKernel(new NativeKernel())
 *     const host = new Host(kernel)
 *     kernel.fail({ errno: 'EIO', operation: 'KVM_SET_ONE_REG', skip: 3 })
 *
 * To test a program with a failure at each of its calls, run it once to learn the number of {@link calls}, and
 * then once for each number with `skip`. Use the wrapped kernel to see what the program left behind.
 *
 * A call that fails is not made, except close(2): Linux frees the descriptor even if close(2) fails.
 *
 * @group Calls that fail
 */
export class FailingKernel implements Kernel {
  /** The wrapped kernel. Calls that are made to it directly are not counted, and faults do not affect them. */
  readonly kernel: Kernel
  readonly #faults = new Faults()
  /** The vCPUs that run, by file descriptor, each with what resolves when it stops. */
  readonly #running = new Map<number, Promise<void>>()
  #calls = 0

  constructor(kernel: Kernel) {
    this.kernel = kernel
  }

  /** The backend of the wrapped kernel. */
  get backend(): 'kvm' | 'software' {
    return this.kernel.backend
  }

  /**
   * How many system calls were asked for so far, including those that failed. Each entry of a batch counts.
   */
  get calls(): number {
    return this.#calls
  }

  /**
   * Makes later calls fail. Several faults can be pending; each is dropped after its number of failures.
   *
   * @param fault which calls fail, and with which error
   * @throws TypeError, RangeError for a fault with a wrong property
   */
  fail(fault: Fault): void {
    this.#faults.add(fault)
  }

  /** Drops all pending faults. */
  clearFaults(): void {
    this.#faults.clear()
  }

  /**
   * Lets a vCPU run, as far as the calls of this kernel are concerned: a call for its registers on the
   * JavaScript thread throws, since it would wait and hold up the event loop, and one off the thread waits. If
   * the wrapped kernel is a model, the vCPU enters its guest there: see {@link SoftwareKernel.run}.
   *
   * @param fd the vCPU's file descriptor
   * @returns stops the vCPU; calling it again does nothing
   */
  run(fd: number): () => void {
    let stop = (): void => undefined
    const stopped = new Promise<void>((resolve) => {
      stop = resolve
    })
    this.#running.set(fd, stopped)
    if (this.kernel instanceof SoftwareKernel) this.kernel.run(fd)
    return () => {
      if (this.#running.get(fd) === stopped) this.#running.delete(fd)
      stop()
    }
  }

  open(path: string): number {
    return this.#call('open', () => this.kernel.open(path))
  }

  close(fd: number): number {
    const fault = this.#strike('close')
    const result = this.kernel.close(fd)
    return result < 0 ? result : fault
  }

  describe(fd: number): string | number {
    return this.#call('readlink', () => this.kernel.describe(fd))
  }

  /** Passed on to the wrapped kernel: no fault can be set for it. */
  fileId(fd: number): number {
    return this.kernel.fileId?.(fd) ?? 0
  }

  checkExtension(fd: number, extension: number): number {
    return this.#call('KVM_CHECK_EXTENSION', () => this.kernel.checkExtension(fd, extension))
  }

  createVm(fd: number, type: number): number {
    return this.#call('KVM_CREATE_VM', () => this.kernel.createVm(fd, type))
  }

  createVcpu(fd: number, id: number): number {
    return this.#call('KVM_CREATE_VCPU', () => this.kernel.createVcpu(fd, id))
  }

  getOneReg(fd: number, id: bigint, value: Uint8Array): number {
    this.#checkStopped('KVM_GET_ONE_REG', [fd])
    return this.#call('KVM_GET_ONE_REG', () => this.kernel.getOneReg(fd, id, value), id)
  }

  setOneReg(fd: number, id: bigint, value: Uint8Array): number {
    this.#checkStopped('KVM_SET_ONE_REG', [fd])
    return this.#call('KVM_SET_ONE_REG', () => this.kernel.setOneReg(fd, id, value), id)
  }

  getOneRegs(batch: OneRegBatch): number {
    if (this.#running.size > 0) this.#checkStopped('KVM_GET_ONE_REG', fdsOf(batch))
    const rest = this.#strikeEach('KVM_GET_ONE_REG', batch)
    return rest.finish(this.kernel.getOneRegs(rest.batch))
  }

  setOneRegs(batch: OneRegBatch): number {
    if (this.#running.size > 0) this.#checkStopped('KVM_SET_ONE_REG', fdsOf(batch))
    const rest = this.#strikeEach('KVM_SET_ONE_REG', batch)
    return rest.finish(this.kernel.setOneRegs(rest.batch))
  }

  async getOneRegsAsync(batch: OneRegBatch): Promise<number> {
    if (this.#running.size > 0) await this.#untilStopped(fdsOf(batch))
    const rest = this.#strikeEach('KVM_GET_ONE_REG', batch)
    const result = await this.kernel.getOneRegsAsync(rest.batch)
    // With a result below 0 no call was made.
    if (result >= 0) rest.finish(result)
    return result
  }

  async setOneRegsAsync(batch: OneRegBatch): Promise<number> {
    if (this.#running.size > 0) await this.#untilStopped(fdsOf(batch))
    const rest = this.#strikeEach('KVM_SET_ONE_REG', batch)
    const result = await this.kernel.setOneRegsAsync(rest.batch)
    if (result >= 0) rest.finish(result)
    return result
  }

  timebase(): bigint {
    const fault = this.#strike('mftb')
    return fault < 0 ? BigInt(fault) : this.kernel.timebase()
  }

  timebaseFrequency(): bigint {
    return this.kernel.timebaseFrequency()
  }

  sample(into: BigUint64Array): number {
    return this.#call('clock_gettime', () => this.kernel.sample(into))
  }

  /** Fails only for a fault that names `'adjtimex'`, and is not counted: a save and a load do without it. */
  clockState(into: BigUint64Array): number {
    const fault = this.#faults.strike('adjtimex')
    if (fault < 0) return fault
    return this.kernel.clockState?.(into) ?? -errnos.ENOSYS
  }

  #checkStopped(operation: OneRegOperation, fds: readonly number[]): void {
    const running = fds.find((fd) => this.#running.has(fd))
    if (running === undefined) return
    throw new AssertionError({
      message: `${operation} on the vCPU of fd ${running} while it runs: the call would wait for it, and hold up the event loop. Stop the vCPU first, or make the call that ends in Async`,
      operator: 'run',
    })
  }

  async #untilStopped(fds: readonly number[]): Promise<void> {
    for (const fd of fds) await this.#running.get(fd)
  }

  #strike(operation: Operation, register?: bigint): number {
    this.#calls++
    return this.#faults.strike(operation, register)
  }

  #call<T>(operation: Operation, call: () => T, register?: bigint): T | number {
    const fault = this.#strike(operation, register)
    return fault < 0 ? fault : call()
  }

  #strikeEach(operation: OneRegOperation, batch: OneRegBatch): Unstruck {
    const { ids, used } = checkBatch(batch)
    const faults = Array.from(ids.subarray(0, used), (id) =>
      // No call is made for so wide a register, so none can fail.
      registerSize(id) > MAX_REGISTER_SIZE ? 0 : this.#strike(operation, id),
    )
    return faults.every((fault) => fault === 0)
      ? { batch, finish: (result) => result }
      : withoutStruck(operation, batch, faults)
  }
}

/** The vCPUs of a batch's entries, each once. */
function fdsOf(batch: OneRegBatch): number[] {
  const { fds, used } = checkBatch(batch)
  return [...new Set(fds.subarray(0, used))]
}

/** The entries of a batch that do not fail, and a function that puts their results into the caller's batch. */
interface Unstruck {
  readonly batch: OneRegBatch
  readonly finish: (result: number) => number
}

/**
 * Copies the entries that do not fail into a batch of their own, so that the caller's batch keeps its ids and
 * descriptors for the next call.
 */
function withoutStruck(
  operation: OneRegOperation,
  batch: OneRegBatch,
  faults: readonly number[],
): Unstruck {
  const left = [...faults.keys()].filter((index) => faults[index] === 0)
  const rest = new OneRegBatch(left.length)
  for (const [at, index] of left.entries()) copyEntry(batch, index, rest, at)
  const finish = (): number => {
    for (const [index, fault] of faults.entries()) batch.results[index] = fault
    for (const [at, index] of left.entries()) {
      if (operation === 'KVM_GET_ONE_REG') batch.bytes(index, 16).set(rest.bytes(at, 16))
      batch.results[index] = rest.results[at] ?? 0
    }
    return batch.results.subarray(0, faults.length).find((result) => result < 0) ?? 0
  }
  return { batch: rest, finish }
}

function copyEntry(from: OneRegBatch, index: number, to: OneRegBatch, at: number): void {
  to.ids[at] = from.ids[index] ?? 0n
  to.fds[at] = from.fds[index] ?? -1
  to.bytes(at, 16).set(from.bytes(index, 16))
}
