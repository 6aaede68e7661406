import { endianness } from 'node:os'
import { checkBatch, NO_REGISTER } from './batch.ts'
import type { OneRegBatch } from './batch.ts'
import { errnoName, errnos } from '../errno.ts'
import type { Kernel, OneRegOperation } from './kernel.ts'
import { registerNames, registers, registerSize } from '../registers.ts'

const LITTLE_ENDIAN = endianness() === 'LE'

/**
 * Returns the same kernel; if the environment variable KVM_PPC_TRACE is set, and not to 0, one that also
 * prints each call on stderr.
 */
export function traced(kernel: Kernel): Kernel {
  const wish = process.env['KVM_PPC_TRACE'] ?? ''
  if (wish === '' || wish === '0') return kernel
  survivePipes()
  return new TracingKernel(kernel)
}

let isGuarded = false

/**
 * Ignores errors of stderr. Without this, the process would end with an EPIPE as soon as the `head` or `less`
 * that reads its trace ends.
 */
function survivePipes(): void {
  if (!isGuarded) process.stderr.on('error', () => undefined)
  isGuarded = true
}

/**
 * Passes every call to another kernel and prints it like strace: seconds since the process started, the
 * call, its result, and how long it took. A batch gets a line for each entry.
 */
class TracingKernel implements Kernel {
  readonly #kernel: Kernel

  constructor(kernel: Kernel) {
    this.#kernel = kernel
  }

  get backend(): Kernel['backend'] {
    return this.#kernel.backend
  }

  open(path: string): number {
    return this.#call(
      () => this.#kernel.open(path),
      () => `open(${JSON.stringify(path)})`,
    )
  }

  close(fd: number): number {
    return this.#call(
      () => this.#kernel.close(fd),
      () => `close(${fd})`,
    )
  }

  describe(fd: number): string | number {
    return this.#kernel.describe(fd)
  }

  fileId(fd: number): number {
    return this.#kernel.fileId?.(fd) ?? 0
  }

  checkExtension(fd: number, extension: number): number {
    return this.#call(
      () => this.#kernel.checkExtension(fd, extension),
      () => `ioctl(${fd}, KVM_CHECK_EXTENSION, ${extension})`,
    )
  }

  createVm(fd: number, type: number): number {
    return this.#call(
      () => this.#kernel.createVm(fd, type),
      () => `ioctl(${fd}, KVM_CREATE_VM, ${type})`,
    )
  }

  createVcpu(fd: number, id: number): number {
    return this.#call(
      () => this.#kernel.createVcpu(fd, id),
      () => `ioctl(${fd}, KVM_CREATE_VCPU, ${id})`,
    )
  }

  getOneReg(fd: number, id: bigint, value: Uint8Array): number {
    return this.#call(
      () => this.#kernel.getOneReg(fd, id, value),
      (result) => oneReg(fd, 'KVM_GET_ONE_REG', id, result < 0 ? undefined : value),
    )
  }

  setOneReg(fd: number, id: bigint, value: Uint8Array): number {
    return this.#call(
      () => this.#kernel.setOneReg(fd, id, value),
      () => oneReg(fd, 'KVM_SET_ONE_REG', id, value),
    )
  }

  getOneRegs(batch: OneRegBatch): number {
    const started = performance.now()
    const result = this.#kernel.getOneRegs(batch)
    printBatch(batch, 'KVM_GET_ONE_REG', entriesOf(batch), started)
    return result
  }

  setOneRegs(batch: OneRegBatch): number {
    const started = performance.now()
    const result = this.#kernel.setOneRegs(batch)
    printBatch(batch, 'KVM_SET_ONE_REG', entriesOf(batch), started)
    return result
  }

  async getOneRegsAsync(batch: OneRegBatch): Promise<number> {
    const started = performance.now()
    const entries = entriesOf(batch)
    const result = await this.#kernel.getOneRegsAsync(batch)
    if (result === 0) printBatch(batch, 'KVM_GET_ONE_REG', entries, started)
    return result
  }

  async setOneRegsAsync(batch: OneRegBatch): Promise<number> {
    const started = performance.now()
    const entries = entriesOf(batch)
    const result = await this.#kernel.setOneRegsAsync(batch)
    if (result === 0) printBatch(batch, 'KVM_SET_ONE_REG', entries, started)
    return result
  }

  timebase(): bigint {
    return this.#kernel.timebase()
  }

  timebaseFrequency(): bigint {
    return this.#kernel.timebaseFrequency()
  }

  sample(into: BigUint64Array): number {
    return this.#kernel.sample(into)
  }

  clockState(into: BigUint64Array): number {
    return this.#kernel.clockState?.(into) ?? -errnos.ENOSYS
  }

  #call(call: () => number, describe: (result: number) => string): number {
    const started = performance.now()
    const result = call()
    print(started, describe(result), result, microseconds(started))
    return result
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

function printBatch(
  batch: OneRegBatch,
  operation: OneRegOperation,
  entries: readonly Entry[],
  started: number,
): void {
  const took = microseconds(started) + (entries.length > 1 ? ` for ${entries.length}` : '')
  for (const { index, fd, id, value } of entries) {
    const result = batch.results[index] ?? 0
    const isRead = operation === 'KVM_GET_ONE_REG'
    const read = result < 0 ? undefined : batch.bytes(index, value.length)
    print(started, oneReg(fd, operation, id, isRead ? read : value), result, took)
  }
}

function oneReg(
  fd: number,
  operation: OneRegOperation,
  id: bigint,
  value: Uint8Array | undefined,
): string {
  const name = nameOf(id)
  const register = `${name === undefined ? '' : `${name} `}0x${id.toString(16)}`
  const shown = value === undefined ? '' : `, ${hexadecimal(value)}`
  return `ioctl(${fd}, ${operation}, ${register}${shown})`
}

let names: ReadonlyMap<bigint, string> | undefined

function nameOf(id: bigint): string | undefined {
  names ??= new Map(registerNames.map((name) => [registers[name].id, name]))
  return names.get(id)
}

/** A value of 32 or 64 bits as a number; one of 128 bits as its bytes in memory order. */
function hexadecimal(value: Uint8Array): string {
  const bytes = Buffer.from(value)
  if (bytes.length === 4 || bytes.length === 8) {
    if (LITTLE_ENDIAN) bytes.reverse()
    return `0x${bytes.toString('hex')}`
  }
  return bytes.toString('hex')
}

function microseconds(started: number): string {
  return `${(1000 * (performance.now() - started)).toFixed(1)} µs`
}

function print(started: number, call: string, result: number, took: string): void {
  const answer = result < 0 ? `-1 ${errnoName(result)}` : `${result}`
  process.stderr.write(`${(started / 1000).toFixed(6)} ${call} = ${answer} <${took}>\n`)
}
