import { checkBatch, NO_REGISTER } from './batch.ts'
import type { OneRegBatch } from './batch.ts'
import { errnos } from '../errno.ts'
import type { Kernel, OneRegOperation } from './kernel.ts'
import { registerNames, registers, registerSize } from '../registers.ts'
import type { RegisterName } from '../registers.ts'

/**
 * A call that a kernel has made, for {@link ObservedKernel}.
 *
 * @group Observing
 */
export interface KernelCall {
  /** `'open'`, `'close'`, or the name of the ioctl. */
  readonly operation:
    | 'open'
    | 'close'
    | 'KVM_CHECK_EXTENSION'
    | 'KVM_CREATE_VM'
    | 'KVM_CREATE_VCPU'
    | 'KVM_GET_ONE_REG'
    | 'KVM_SET_ONE_REG'
  /** Of `'open'`. */
  readonly path?: string
  readonly fd?: number
  /** The extension, the type of the VM or the id of the vCPU. */
  readonly argument?: number
  /** The id of the register. */
  readonly id?: bigint
  /** The name of the register, if the table has it. */
  readonly register?: RegisterName
  /** The value that was read or written, in the host's byte order; undefined if it could not be read. */
  readonly value?: Uint8Array | undefined
  /** A non-negative result, or `-errno`. */
  readonly result: number
  /** When it began, in ms as `performance.now()` counts. */
  readonly startedMs: number
  /** How long it took, in ms; for a register of a batch, all of the batch. */
  readonly tookMs: number
  /** How many registers the batch has; 1 for a call that is not in one. */
  readonly of: number
}

/**
 * Passes every call to another kernel and tells a function of it: what KVM_PPC_TRACE prints. Calls that read
 * a clock are passed on without.
 *
 *     const host = new Host(new ObservedKernel(new NativeKernel(), ({ operation, result }) => { … }))
 *
 * @group Observing
 */
export class ObservedKernel implements Kernel {
  /** The kernel that makes the calls. */
  readonly kernel: Kernel
  readonly #onCall: (call: KernelCall) => void

  /**
   * @param kernel makes the calls
   * @param onCall is called after each of them; what it throws becomes an uncaught exception, since the call
   *   was made
   */
  constructor(kernel: Kernel, onCall: (call: KernelCall) => void) {
    this.kernel = kernel
    this.#onCall = onCall
  }

  /** The backend of the kernel that makes the calls. */
  get backend(): 'kvm' | 'software' {
    return this.kernel.backend
  }

  open(path: string): number {
    return this.#call(() => this.kernel.open(path), { operation: 'open', path })
  }

  close(fd: number): number {
    return this.#call(() => this.kernel.close(fd), { operation: 'close', fd })
  }

  describe(fd: number): string | number {
    return this.kernel.describe(fd)
  }

  fileId(fd: number): number {
    return this.kernel.fileId?.(fd) ?? 0
  }

  checkExtension(fd: number, extension: number): number {
    return this.#call(() => this.kernel.checkExtension(fd, extension), {
      operation: 'KVM_CHECK_EXTENSION',
      fd,
      argument: extension,
    })
  }

  createVm(fd: number, type: number): number {
    return this.#call(() => this.kernel.createVm(fd, type), {
      operation: 'KVM_CREATE_VM',
      fd,
      argument: type,
    })
  }

  createVcpu(fd: number, id: number): number {
    return this.#call(() => this.kernel.createVcpu(fd, id), {
      operation: 'KVM_CREATE_VCPU',
      fd,
      argument: id,
    })
  }

  getOneReg(fd: number, id: bigint, value: Uint8Array): number {
    return this.#call(() => this.kernel.getOneReg(fd, id, value), {
      operation: 'KVM_GET_ONE_REG',
      fd,
      id,
      value,
    })
  }

  setOneReg(fd: number, id: bigint, value: Uint8Array): number {
    return this.#call(() => this.kernel.setOneReg(fd, id, value), {
      operation: 'KVM_SET_ONE_REG',
      fd,
      id,
      value,
    })
  }

  getOneRegs(batch: OneRegBatch): number {
    const started = performance.now()
    const result = this.kernel.getOneRegs(batch)
    this.#tellBatch(batch, 'KVM_GET_ONE_REG', entriesOf(batch), started)
    return result
  }

  setOneRegs(batch: OneRegBatch): number {
    const started = performance.now()
    const result = this.kernel.setOneRegs(batch)
    this.#tellBatch(batch, 'KVM_SET_ONE_REG', entriesOf(batch), started)
    return result
  }

  async getOneRegsAsync(batch: OneRegBatch): Promise<number> {
    const started = performance.now()
    const entries = entriesOf(batch)
    const result = await this.kernel.getOneRegsAsync(batch)
    if (result === 0) this.#tellBatch(batch, 'KVM_GET_ONE_REG', entries, started)
    return result
  }

  async setOneRegsAsync(batch: OneRegBatch): Promise<number> {
    const started = performance.now()
    const entries = entriesOf(batch)
    const result = await this.kernel.setOneRegsAsync(batch)
    if (result === 0) this.#tellBatch(batch, 'KVM_SET_ONE_REG', entries, started)
    return result
  }

  timebase(): bigint {
    return this.kernel.timebase()
  }

  timebaseFrequency(): bigint {
    return this.kernel.timebaseFrequency()
  }

  sample(into: BigUint64Array): number {
    return this.kernel.sample(into)
  }

  clockState(into: BigUint64Array): number {
    return this.kernel.clockState?.(into) ?? -errnos.ENOSYS
  }

  #call(
    call: () => number,
    about: Omit<KernelCall, 'result' | 'startedMs' | 'tookMs' | 'of'>,
  ): number {
    const startedMs = performance.now()
    const result = call()
    const { operation, id, value } = about
    this.#tell({
      ...about,
      ...(id !== undefined && named(id)),
      ...(value !== undefined && { value: value.slice() }),
      ...(result < 0 && operation === 'KVM_GET_ONE_REG' && { value: undefined }),
      result,
      startedMs,
      tookMs: performance.now() - startedMs,
      of: 1,
    })
    return result
  }

  #tellBatch(
    batch: OneRegBatch,
    operation: OneRegOperation,
    entries: readonly Entry[],
    startedMs: number,
  ): void {
    const tookMs = performance.now() - startedMs
    for (const { index, fd, id, value } of entries) {
      const result = batch.results[index] ?? 0
      const isRead = operation === 'KVM_GET_ONE_REG'
      const read = result < 0 ? undefined : batch.bytes(index, value.length).slice()
      const about = { operation, fd, id, ...named(id), value: isRead ? read : value }
      this.#tell({ ...about, result, startedMs, tookMs, of: entries.length })
    }
  }

  #tell(call: KernelCall): void {
    try {
      this.#onCall(call)
    } catch (error) {
      process.nextTick(() => {
        throw error
      })
    }
  }
}

/** A copy of a batch's entry at the time of the call: the caller may use the memory again meanwhile. */
interface Entry {
  readonly index: number
  readonly fd: number
  readonly id: bigint
  /** The value that is written. */
  readonly value: Uint8Array
}

function entriesOf(batch: OneRegBatch): Entry[] {
  return Array.from({ length: checkBatch(batch).used }, (_, index) => {
    const id = batch.ids[index] ?? NO_REGISTER
    const value = batch.bytes(index, Math.min(registerSize(id), 16)).slice()
    return { index, fd: batch.fds[index] ?? -1, id, value }
  }).filter(({ id }) => id !== NO_REGISTER)
}

let names: ReadonlyMap<bigint, RegisterName> | undefined

function named(id: bigint): { register?: RegisterName } {
  names ??= new Map(registerNames.map((name) => [registers[name].id, name]))
  const register = names.get(id)
  return register === undefined ? {} : { register }
}
