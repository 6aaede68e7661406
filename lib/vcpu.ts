import { OneRegBatch } from './batch.ts'
import { checkBytes, checkObject, checkU64, wrongType } from './checks.ts'
import { closed, KvmError } from './errors.ts'
import { meansAbsent } from './errno.ts'
import type { Host } from './host.ts'
import { registerSize } from './registers.ts'
import type { RegisterName, RegisterValue, RegisterValues } from './registers.ts'
import { readSnapshot, writeSnapshot } from './snapshot.ts'
import type { RestoreOptions, RestoreOutcome } from './snapshot.ts'
import { lookUp, putValue, takeValue } from './value.ts'

/**
 * A virtual processor of a guest: its registers, by name.
 *
 * Every call here is synchronous and waits as long as KVM_RUN holds the vCPU: stop it first. All
 * of them work only in the process that created the VM (worker threads are fine); elsewhere the
 * kernel says EIO.
 */
export class Vcpu {
  readonly host: Host
  /** The id that was given to KVM_CREATE_VCPU. */
  readonly id: number
  readonly #one = new OneRegBatch(1)
  readonly #release: (() => void) | undefined
  #fd: number | undefined

  /** @internal Made by {@link Vm.createVcpu}, which owns it, or {@link Host.vcpu}, which borrows it. */
  constructor(host: Host, fd: number, id: number, release?: () => void) {
    this.host = host
    this.id = id
    this.#fd = fd
    this.#release = release
  }

  /**
   * The vCPU's file descriptor.
   *
   * @throws OneRegError ERR_KVM_CLOSED
   */
  get fd(): number {
    if (this.#fd === undefined) throw closed(`vCPU ${this.id}`)
    if (this.host.closed) throw closed('The host')
    return this.#fd
  }

  /**
   * KVM_GET_ONE_REG (Linux 3.3).
   *
   * @param name the kernel's, without `KVM_REG_PPC_`
   * @returns by the register's width: 32 bits a number, 64 bits a bigint, both unsigned; 128 bits a
   *   Uint8Array of 16 in the kernel's memory order
   * @throws TypeError ERR_INVALID_ARG_VALUE for an unknown name
   * @throws KvmError EINVAL where this kernel or processor lacks the register
   */
  get<N extends RegisterName>(name: N): RegisterValue<N> {
    const register = lookUp(name)
    const one = this.#one
    this.#check(this.#getOne(register.id, registerSize(register.id)), 'KVM_GET_ONE_REG', name)
    return takeValue(one, 0, register) as RegisterValue<N>
  }

  /**
   * KVM_SET_ONE_REG (Linux 3.3). The kernel may keep another value than the one given: TB_OFFSET is
   * rounded up to a multiple of 2^24, reserved bits are dropped. Read it back where it matters.
   *
   * @throws TypeError, RangeError for a value of the wrong type or range, before any system call
   * @throws KvmError EINVAL where this kernel lacks the register or refuses the value
   */
  set<N extends RegisterName>(name: N, value: RegisterValue<N>): void {
    const fd = this.fd
    putValue(this.#one, 0, name, value)
    const { id, width } = lookUp(name)
    const bytes = this.#one.bytes(0, width / 8)
    this.#check(this.host.kernel.setOneReg(fd, id, bytes), 'KVM_SET_ONE_REG', name)
  }

  /**
   * Whether this vCPU has a register: it is asked for it.
   *
   * @throws KvmError for an error that does not say that the register is absent
   */
  has(name: RegisterName): boolean {
    const { id } = lookUp(name)
    const result = this.#getOne(id, registerSize(id))
    if (result < 0 && meansAbsent(result)) return false
    this.#check(result, 'KVM_GET_ONE_REG', name)
    return true
  }

  /**
   * KVM_GET_ONE_REG for an id that the table lacks.
   *
   * @param id the whole id, architecture and size bits included; a bigint, since a number would lose
   *   its low bits
   * @returns as many bytes as the id's size bits say, in the kernel's memory order
   * @throws KvmError
   */
  getRaw(id: bigint): Uint8Array {
    const fd = this.fd
    const value = new Uint8Array(registerSize(checkU64('id', id)))
    this.#check(this.host.kernel.getOneReg(fd, id, value), 'KVM_GET_ONE_REG', hexadecimal(id))
    return value
  }

  /**
   * KVM_SET_ONE_REG for an id that the table lacks.
   *
   * @param bytes exactly as many as the id's size bits say, in the kernel's memory order
   * @throws RangeError ERR_OUT_OF_RANGE for another length
   * @throws KvmError
   */
  setRaw(id: bigint, bytes: Uint8Array): void {
    const fd = this.fd
    checkBytes('bytes', bytes, registerSize(checkU64('id', id)))
    this.#check(this.host.kernel.setOneReg(fd, id, bytes), 'KVM_SET_ONE_REG', hexadecimal(id))
  }

  /**
   * Many registers in one crossing into the kernel.
   *
   * @throws KvmError for the first that could not be read
   */
  read<N extends RegisterName>(names: readonly N[]): { [K in N]: RegisterValue<K> } {
    const batch = this.#batchFor(checkNames(names))
    this.host.kernel.getOneRegs(batch)
    names.forEach((name, index) => {
      this.#check(batch.results[index] ?? 0, 'KVM_GET_ONE_REG', name)
    })
    return Object.fromEntries(
      names.map((name, index) => [name, takeValue(batch, index, lookUp(name))]),
    ) as { [K in N]: RegisterValue<K> }
  }

  /**
   * Many registers in one crossing into the kernel, in the order in which they are given. All values
   * are checked before the first is written.
   *
   * @throws KvmError for the first that could not be written; the others were
   */
  write(values: RegisterValues): void {
    const names = Object.keys(checkObject('values', values))
    const batch = this.#batchFor(names)
    const given = Object.values(values)
    names.forEach((name, index) => {
      putValue(batch, index, name, given[index])
    })
    this.host.kernel.setOneRegs(batch)
    names.forEach((name, index) => {
      this.#check(batch.results[index] ?? 0, 'KVM_SET_ONE_REG', name)
    })
  }

  /**
   * Every register of the table that this vCPU lets be read. POWER has no KVM_GET_REG_LIST, so it is
   * found by asking; what the kernel does not know is remembered for the host's other vCPUs.
   *
   * @throws KvmError for an error that does not say that a register is absent
   */
  snapshot(): RegisterValues {
    return readSnapshot(this)
  }

  /**
   * Writes a snapshot back, in the order that the kernel needs. TB_OFFSET is left out unless asked
   * for: between hosts it belongs to {@link loadTimebase}.
   *
   * @returns the registers that this kernel would not take and that hold another value
   * @throws TypeError, RangeError for a snapshot with a wrong name or value, before any system call
   * @throws KvmError for an error that does not say that a register is absent or its value refused
   */
  restore(snapshot: RegisterValues, options: RestoreOptions = {}): RestoreOutcome {
    return writeSnapshot(this, snapshot, options)
  }

  /** Closes a vCPU that was made here, and lets go of a borrowed one. Closing twice does nothing. */
  close(): void {
    if (this.#fd === undefined) return
    // Forgotten before it is closed: the number may be another file's the moment after.
    this.#fd = undefined
    this.#release?.()
  }

  [Symbol.dispose](): void {
    this.close()
  }

  #getOne(id: bigint, size: number): number {
    return this.host.kernel.getOneReg(this.fd, id, this.#one.bytes(0, size))
  }

  #batchFor(names: readonly string[]): OneRegBatch {
    const batch = new OneRegBatch(names.length)
    batch.fds.fill(this.fd)
    batch.ids.set(names.map((name) => lookUp(name).id))
    return batch
  }

  #check(result: number, operation: string, register: string): void {
    if (result < 0) throw new KvmError(result, { operation, register, vcpu: this.id })
  }
}

function checkNames(names: unknown): readonly string[] {
  if (!Array.isArray(names)) throw wrongType('names', 'an array of register names', names)
  return names as string[]
}

function hexadecimal(id: bigint): string {
  return `0x${id.toString(16)}`
}
