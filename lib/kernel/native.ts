import { accessSync, readlinkSync } from 'node:fs'
import path from 'node:path'
import { loadAddon } from './addon.ts'
import { checkBatch, OneRegBatch } from './batch.ts'
import { checkInteger, checkWords } from '../checks.ts'
import { errnos } from '../errno.ts'
import type { Kernel } from './kernel.ts'
import { readTimebaseFrequency } from './timebase-frequency.ts'

/**
 * The real kernel, called through the native addon.
 *
 * The calls can be made on any Linux. Only POWER has the registers of {@link registers} and the timebase.
 *
 * Its constructor throws OneRegError ERR_KVM_UNAVAILABLE if the addon is not built for this machine.
 *
 * @group Kernels and batches
 */
export class NativeKernel implements Kernel {
  readonly backend = 'kvm'
  readonly #addon = loadAddon()
  readonly #words = new BigUint64Array(new SharedArrayBuffer(32))
  readonly #bound = this.#addon.bindCalls(this.#words)
  readonly #getOneRegs = this.#bound.getOneRegs
  readonly #setOneRegs = this.#bound.setOneRegs
  /**
   * Read now, so that the first save reads no files while a guest stands still. Other machines than POWER have
   * none, and a long /proc/cpuinfo to look through.
   */
  readonly #timebaseFrequency = process.arch === 'ppc64' ? readTimebaseFrequency() : undefined
  /** The batch whose index is in `#words[3]`; initially a dummy that no caller holds. */
  #batch = new OneRegBatch(0)

  open(path: string): number {
    return this.#addon.open(path)
  }

  close(fd: number): number {
    return this.#addon.close(fd)
  }

  describe(fd: number): string | number {
    const link = `/proc/self/fd/${checkInteger('fd', fd)}`
    try {
      return readlinkSync(link)
    } catch {
      return -(canSee(path.dirname(link)) ? errnos.EBADF : errnos.EACCES)
    }
  }

  fileId(fd: number): number {
    return this.#addon.fileId(fd)
  }

  checkExtension(fd: number, extension: number): number {
    return this.#addon.checkExtension(fd, extension)
  }

  createVm(fd: number, type: number): number {
    return this.#addon.createVm(fd, type)
  }

  createVcpu(fd: number, id: number): number {
    return this.#addon.createVcpu(fd, id)
  }

  getOneReg(fd: number, id: bigint, value: Uint8Array): number {
    return this.#addon.getOneReg(fd, id, value)
  }

  setOneReg(fd: number, id: bigint, value: Uint8Array): number {
    return this.#addon.setOneReg(fd, id, value)
  }

  getOneRegs(batch: OneRegBatch): number {
    if (batch !== this.#batch) this.#select(batch)
    return this.#getOneRegs() ?? 0
  }

  setOneRegs(batch: OneRegBatch): number {
    if (batch !== this.#batch) this.#select(batch)
    return this.#setOneRegs() ?? 0
  }

  async getOneRegsAsync(batch: OneRegBatch): Promise<number> {
    return this.#addon.getOneRegsAsync(checkBatch(batch).memory)
  }

  async setOneRegsAsync(batch: OneRegBatch): Promise<number> {
    return this.#addon.setOneRegsAsync(checkBatch(batch).memory)
  }

  timebase(): bigint {
    const failure = this.#bound.timebase()
    return failure === undefined ? (this.#words[0] ?? 0n) : BigInt(failure)
  }

  timebaseFrequency(): bigint {
    return this.#timebaseFrequency ?? readTimebaseFrequency() ?? BigInt(-errnos.ENOSYS)
  }

  sample(into: BigUint64Array): number {
    checkWords(into, 3)
    const failure = this.#bound.sample()
    // Word by word: a subarray would take longer than the call.
    for (let word = 0; word < 3; word++) into[word] = this.#words[word] ?? 0n
    return failure ?? 0
  }

  clockState(into: BigUint64Array): number {
    checkWords(into, 1)
    const state = this.#bound.clockState() ?? 0
    into[0] = this.#words[0] ?? 0n
    return state
  }

  #select(batch: OneRegBatch): void {
    const { index } = (checkBatch(batch).bound ??= this.#addon.bindBatch(batch.memory))
    this.#words[3] = BigInt(index)
    this.#batch = batch
  }
}

/** False without /proc, or if Node's permission model hides it. */
function canSee(folder: string): boolean {
  try {
    accessSync(folder)
    return true
  } catch {
    return false
  }
}
