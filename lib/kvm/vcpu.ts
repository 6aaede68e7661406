import { inspect } from 'node:util'
import { BATCH_LIMIT, OneRegBatch } from '../kernel/batch.ts'
import { checkAsyncOptions } from './async-options.ts'
import type { AsyncOptions } from './async-options.ts'
import { BoundRegisters } from './bound-registers.ts'
import { checkArray, checkBytes, checkObject, checkU64 } from '../checks.ts'
import { Descriptor, inWords } from './descriptor.ts'
import { putChecked, takeValue } from './entries.ts'
import { closed, KvmError } from '../errors.ts'
import { meansAbsent } from '../errno.ts'
import { checkNotHeld } from './held.ts'
import type { OneRegOperation } from '../kernel/kernel.ts'
import { LastLayout, namesIn, putValues, takeValues } from './layout.ts'
import {
  callBatch,
  callBatchAsync,
  checkResults,
  getBatch,
  setBatch,
  uninterrupted,
} from './one-reg.ts'
import type { LastRegister } from './last-register.ts'
import type { PresentRegisters } from './open-vcpu.ts'
import { registerSize } from '../registers.ts'
import type { RegisterName, RegisterValue, RegisterValues } from '../registers.ts'
import { writeSnapshot } from './restore.ts'
import type { RestoreOptions, RestoreOutcome } from './restore.ts'
import { lookUp } from '../register-values.ts'
import { Scratch } from './scratch.ts'
import { readSnapshot } from './snapshot.ts'
import { runSteps, runStepsAsync } from './steps.ts'
import type { Faces, KvmSystem } from './system.ts'
import { descriptorOf, rememberDescriptor } from './vcpu-files.ts'

declare module './system.ts' {
  interface Faces {
    vcpu: Vcpu
  }
}

const lastRead = new LastLayout()
const lastWritten = new LastLayout()

/**
 * A virtual processor of a guest: its registers, by name.
 *
 * A call waits for as long as KVM_RUN holds the vCPU. A synchronous call blocks the event loop meanwhile, so
 * use it on a stopped vCPU. For a vCPU that may run there are the methods whose names end in `Async`, which
 * wait on a thread of their own. They are made in order, one at a time for each vCPU; a synchronous call does
 * not wait for those that have not begun. All calls work only in the process that created the VM, including
 * its worker threads; in another process they fail with EIO.
 *
 * @group Hosts and vCPUs
 */
export class Vcpu {
  /** @internal */
  declare readonly system: KvmSystem
  /** The id that was given to KVM_CREATE_VCPU. */
  declare readonly id: number
  /** @internal Keeps the VM: if it were garbage-collected it would be closed, and this vCPU with it. */
  declare readonly vm: Faces['vm'] | undefined
  /** @internal */
  declare readonly descriptor: Descriptor
  /** @internal */
  declare readonly present: PresentRegisters
  /**
   * @internal The last load of this vCPU, for timebase/last-load.ts alone. A WeakMap there would take
   * a load some 200 instructions for each vCPU.
   */
  declare lastLoad: unknown

  /** @internal Called by {@link Vm.createVcpu}, which owns the vCPU, and {@link Host.vcpu}, which borrows it. */
  constructor(system: KvmSystem, fd: number, id: number, owner?: VcpuOwner) {
    this.system = system
    this.id = id
    this.vm = owner?.vm
    this.lastLoad = undefined
    this.present = owner?.present ?? { layout: undefined }
    const { kernel } = system.host
    const other = owner === undefined ? descriptorOf(kernel, fd) : undefined
    const opened = owner && { kernel: system.kernel, parent: owner.parent }
    this.descriptor = new Descriptor(this, `vCPU ${id}`, fd, opened, other)
    if (other === undefined) rememberDescriptor(kernel, fd, this.descriptor)
  }

  /** The {@link Host} that made or borrowed it. */
  get host(): Faces['host'] {
    return this.system.host
  }

  /**
   * The vCPU's file descriptor.
   *
   * @throws OneRegError ERR_KVM_CLOSED
   */
  get fd(): number {
    return this.checkOpen()
  }

  /**
   * @internal Whether a value is a vCPU and not a proxy of one: reading a proxy's properties would run the
   * caller's code.
   */
  static isVcpu(value: unknown): value is Vcpu {
    return typeof value === 'object' && value !== null && #failed in value
  }

  /** @internal The file descriptor; a method, for callers that only need the check. */
  checkOpen(): number {
    const { fd } = this.descriptor
    if (fd === undefined) throw closed(`vCPU ${this.id}`)
    this.system.checkOpen()
    return fd
  }

  /**
   * Reads a register with KVM_GET_ONE_REG (Linux 3.3).
   *
   * @param name the kernel's name of the register, without `KVM_REG_PPC_`
   * @returns for 32 bits a number, for 64 bits a bigint, both unsigned; for 128 bits a Uint8Array of 16 bytes
   *   in the kernel's memory order
   * @throws TypeError ERR_INVALID_ARG_VALUE for an unknown name
   * @throws KvmError EINVAL if this kernel or processor lacks the register
   */
  get<N extends RegisterName>(name: N): RegisterValue<N> {
    const { kernel } = this.system
    let { last } = this.system
    if (last.descriptor !== this.descriptor || last.name !== name) last = this.#select(name)
    const result = getBatch(kernel, last.batch)
    if (result < 0) throw this.#failed(result, 'KVM_GET_ONE_REG', name)
    // Nearly all registers have 64 bits.
    const value = last.width === 64 ? (last.word[0] ?? 0n) : takeValue(last.batch, 0, last.width)
    return value as RegisterValue<N>
  }

  /**
   * Writes a register with KVM_SET_ONE_REG (Linux 3.3). The kernel may store another value than the one given:
   * it rounds TB_OFFSET up to a whole step of 2^24 ticks, and clears reserved bits. Read the register back if
   * this matters. In a PowerVM partition ('kind of KVM' of `info`) TB_OFFSET of one vCPU becomes that of the
   * whole guest when this vCPU next runs.
   *
   * @param name a name of {@link registers}
   * @param value a number for 32 bits, a bigint for 64, 16 bytes for 128
   * @throws TypeError, RangeError for a value of the wrong type or range, before any system call
   * @throws KvmError EINVAL if this kernel lacks the register or refuses the value
   */
  set<N extends RegisterName>(name: N, value: RegisterValue<N>): void {
    const { kernel } = this.system
    let { last } = this.system
    if (last.descriptor !== this.descriptor || last.name !== name) last = this.#select(name)
    putChecked(last.batch, 0, name, value, last.width)
    const result = setBatch(kernel, last.batch)
    if (result < 0) throw this.#failed(result, 'KVM_SET_ONE_REG', name)
  }

  /**
   * Whether this vCPU has a register, found by reading it.
   *
   * @param name a name of {@link registers}
   * @throws KvmError for an error that does not say that the register is absent
   */
  has(name: RegisterName): boolean {
    const { kernel } = this.system
    let { last } = this.system
    if (last.descriptor !== this.descriptor || last.name !== name) last = this.#select(name)
    const result = getBatch(kernel, last.batch)
    if (result >= 0) return true
    if (meansAbsent(result)) return false
    throw this.#failed(result, 'KVM_GET_ONE_REG', name)
  }

  /**
   * Reads a register that {@link registers} does not have, by its id.
   *
   * @param id the whole id, architecture and size bits included; a bigint, since a number would lose
   *   its low bits
   * @returns as many bytes as the id's size bits say, in the kernel's memory order
   * @throws KvmError
   */
  getRaw(id: bigint): Uint8Array {
    const value = new Uint8Array(registerSize(checkU64('id', id)))
    const fd = this.fd
    const { kernel } = this.system
    const result = uninterrupted(() => kernel.getOneReg(fd, id, value))
    if (result < 0) throw this.#failed(result, 'KVM_GET_ONE_REG', hexadecimal(id))
    return value
  }

  /**
   * Writes a register that {@link registers} does not have, by its id.
   *
   * @param id the id of the register, a bigint; its size bits say how many bytes the value has
   * @param bytes exactly as many as the id's size bits say, in the kernel's memory order
   * @throws RangeError ERR_OUT_OF_RANGE for another length
   * @throws KvmError
   */
  setRaw(id: bigint, bytes: Uint8Array): void {
    checkBytes('bytes', bytes, registerSize(checkU64('id', id)))
    const fd = this.fd
    const { kernel } = this.system
    const result = uninterrupted(() => kernel.setOneReg(fd, id, bytes))
    if (result < 0) throw this.#failed(result, 'KVM_SET_ONE_REG', hexadecimal(id))
  }

  /**
   * Reads several registers in one crossing into C++.
   *
   * @param names names of {@link registers}
   * @throws KvmError for the first register that could not be read
   */
  read<N extends RegisterName>(names: readonly N[]): { [K in N]: RegisterValue<K> } {
    const { scratch } = this.system
    const layout = lastRead.of(checkNames(names))
    const batch = scratch.take(layout.names.length)
    batch.ids.set(layout.ids)
    this.#call('KVM_GET_ONE_REG', batch, layout.names)
    const values = takeValues(batch, layout)
    scratch.giveBack(batch)
    return values
  }

  /**
   * Writes several registers in one crossing into C++, in the given order. All values are checked before
   * the first is written.
   *
   * @param values the values by the names of their registers, written in this order
   * @throws KvmError for the first register that could not be written; the others were written all the same
   */
  write(values: RegisterValues): void {
    const { scratch } = this.system
    const layout = lastWritten.of(namesIn('values', values))
    const batch = scratch.take(layout.names.length)
    putValues(batch, layout, values)
    this.#call('KVM_SET_ONE_REG', batch, layout.names)
    scratch.giveBack(batch)
  }

  /**
   * Allocates memory for some registers once, so that a loop that reads or writes them makes no garbage.
   *
   * @param names names of {@link registers}, each at most once
   * @throws TypeError for an unknown name, or one that is given twice
   */
  bind<N extends RegisterName>(names: readonly N[]): BoundRegisters<N> {
    return new BoundRegisters(this, checkNames(names))
  }

  /**
   * {@link get} off the JavaScript thread; it rejects with the same errors.
   *
   * @param name a name of {@link registers}
   * @param options a signal that ends the waiting
   */
  async getAsync<N extends RegisterName>(
    name: N,
    options: AsyncOptions = {},
  ): Promise<RegisterValue<N>> {
    const values = await this.readAsync([name], options)
    return values[name]
  }

  /**
   * {@link set} off the JavaScript thread; it rejects with the same errors.
   *
   * @param name a name of {@link registers}
   * @param value a number for 32 bits, a bigint for 64, 16 bytes for 128
   * @param options a signal that ends the waiting
   */
  async setAsync<N extends RegisterName>(
    name: N,
    value: RegisterValue<N>,
    options: AsyncOptions = {},
  ): Promise<void> {
    lookUp(name)
    await this.writeAsync({ [name]: value }, options)
  }

  /**
   * {@link read} off the JavaScript thread; it rejects with the same errors.
   *
   * @param names names of {@link registers}
   * @param options a signal that ends the waiting
   */
  async readAsync<N extends RegisterName>(
    names: readonly N[],
    options: AsyncOptions = {},
  ): Promise<{ [K in N]: RegisterValue<K> }> {
    const layout = lastRead.of(checkNames(names))
    const batch = new OneRegBatch(layout.names.length)
    batch.ids.set(layout.ids)
    await this.#callAsync('KVM_GET_ONE_REG', batch, layout.names, options)
    return takeValues(batch, layout)
  }

  /**
   * {@link write} off the JavaScript thread; it rejects with the same errors. The values are copied before
   * it returns.
   *
   * @param values the values by the names of their registers, written in this order
   * @param options a signal that ends the waiting
   */
  async writeAsync(values: RegisterValues, options: AsyncOptions = {}): Promise<void> {
    const layout = lastWritten.of(namesIn('values', values))
    const batch = new OneRegBatch(layout.names.length)
    putValues(batch, layout, values)
    await this.#callAsync('KVM_SET_ONE_REG', batch, layout.names, options)
  }

  /**
   * Reads every register of the table that this vCPU has. POWER has no KVM_GET_REG_LIST, so each register is
   * tried. Those that the kernel does not know are not tried again on the VM's other vCPUs.
   *
   * @throws KvmError for an error that does not say that a register is absent, or if none can be read
   * @throws OneRegError ERR_VCPU_HELD while an aligned load of this vCPU waits for its instant
   */
  snapshot(): RegisterValues {
    checkNotHeld(this.host.kernel, [this.fd], [this.id])
    return runSteps(this, readSnapshot(this, this.system.scratch))
  }

  /**
   * Writes a snapshot back, in the order that the kernel needs. TB_OFFSET is written only with the option
   * `timebase`: between hosts, {@link loadTimebase} computes a new one. It is called after this, and writes
   * DEC_EXPIRY, VTB, PURR and SPURR again, so that its values count.
   *
   * @param snapshot the result of `snapshot()` of a vCPU with the same id
   * @param options whether the timebase is restored too, and whether all is read back
   * @returns the registers that this kernel refuses to set and that hold another value
   * @throws TypeError, RangeError for a snapshot with a wrong name or value, before any system call
   * @throws OneRegError ERR_VCPU_HELD while an aligned load of this vCPU waits for its instant
   * @throws RestoreIncompleteError if a call failed, other than because the register is absent or its value
   *   refused: it lists the registers that were not written; all others were
   */
  restore(snapshot: RegisterValues, options: RestoreOptions = {}): RestoreOutcome {
    checkNotHeld(this.host.kernel, [this.fd], [this.id])
    return runSteps(this, writeSnapshot(this, this.system.scratch, snapshot, options))
  }

  /**
   * {@link snapshot} off the JavaScript thread; it rejects with the same errors.
   *
   * @param options a signal that ends the waiting
   */
  async snapshotAsync(options: AsyncOptions = {}): Promise<RegisterValues> {
    const signal = checkAsyncOptions(options)
    checkNotHeld(this.host.kernel, [this.fd], [this.id])
    return runStepsAsync(this, readSnapshot(this, new Scratch()), signal)
  }

  /**
   * {@link restore} off the JavaScript thread; it rejects with the same errors. The values are taken when
   * it is called. If the signal is aborted between two of its calls, those that follow are not made.
   *
   * @param snapshot the result of `snapshot()` of a vCPU with the same id
   * @param options those of `restore`, and a signal that ends the waiting
   */
  async restoreAsync(
    snapshot: RegisterValues,
    options: RestoreOptions & AsyncOptions = {},
  ): Promise<RestoreOutcome> {
    const { signal: given, ...restoreOptions } = checkObject('options', options) as typeof options
    const signal = checkAsyncOptions(given === undefined ? {} : { signal: given })
    checkNotHeld(this.host.kernel, [this.fd], [this.id])
    const steps = writeSnapshot(this, new Scratch(), snapshot, restoreOptions)
    return runStepsAsync(this, steps, signal)
  }

  /**
   * Closes a vCPU that this library created. The descriptor of a borrowed vCPU stays open. Closing twice does
   * nothing. Calls off the JavaScript thread that have not begun reject with ERR_KVM_CLOSED; a call that has
   * begun keeps the descriptor open until it ends.
   */
  close(): void {
    this.system.close(this.descriptor)
  }

  /** {@link close}, for `using`. */
  [Symbol.dispose](): void {
    this.close()
  }

  /** @internal One line for console.log, without what is private. */
  [inspect.custom](): string {
    // A proxy of one, whose traps would run.
    if (!(#failed in this)) return 'Vcpu'
    return `Vcpu ${this.id} ${inWords(this.descriptor, this.system)}`
  }

  #select(name: unknown): LastRegister {
    return this.system.select(this.descriptor, this.fd, name)
  }

  #call(operation: OneRegOperation, batch: OneRegBatch, names: readonly string[]): void {
    batch.fds.fill(this.fd, 0, batch.used)
    const result = callBatch(this.system.kernel, operation, batch)
    if (result < 0) checkResults(batch, operation, names, this.id)
  }

  async #callAsync(
    operation: OneRegOperation,
    batch: OneRegBatch,
    names: readonly string[],
    options: AsyncOptions,
  ): Promise<void> {
    const signal = checkAsyncOptions(options)
    this.checkOpen()
    const result = await this.descriptor.calls.add(() => {
      batch.fds.fill(this.fd)
      return callBatchAsync(this.system.kernel, operation, batch)
    }, signal)
    if (result < 0) throw new KvmError(result, { operation: 'pthread_create', vcpu: this.id })
    checkResults(batch, operation, names, this.id)
  }

  #failed(result: number, operation: string, register: string): KvmError {
    return new KvmError(result, { operation, register, vcpu: this.id })
  }
}

interface VcpuOwner {
  readonly vm: Faces['vm']
  /** The descriptor of the VM. */
  readonly parent: Descriptor
  /** Shared by all vCPUs of the VM. */
  readonly present: PresentRegisters
}

function checkNames<N extends RegisterName>(names: readonly N[]): readonly N[] {
  return checkArray('names', 'register names', names, BATCH_LIMIT) as N[]
}

function hexadecimal(id: bigint): string {
  return `0x${id.toString(16)}`
}
