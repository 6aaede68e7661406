import bindings from 'bindings'
import { readlinkSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { checkBatch } from './batch.ts'
import type { BoundCalls, OneRegBatch } from './batch.ts'
import { checkInteger, checkSampleWords } from './checks.ts'
import { unavailable } from './errors.ts'
import { errnos } from './errno.ts'
import type { Kernel } from './kernel.ts'
import { readTimebaseFrequency } from './timebase-frequency.ts'

/** They leave four words behind: the timebase or the three of a sample, and the result in 32 bits. */
export interface ClockCalls {
  readonly timebase: () => void
  readonly sample: () => void
}

/** What native/binding.cc exports. */
export interface Addon {
  open(path: string): number
  close(fd: number): number
  checkExtension(fd: number, extension: number): number
  createVm(fd: number, type: number): number
  createVcpu(fd: number, id: number): number
  getOneReg(fd: number, id: bigint, value: Uint8Array): number
  setOneReg(fd: number, id: bigint, value: Uint8Array): number
  bindBatch(memory: Uint8Array): BoundCalls
  getOneRegsAsync(memory: Uint8Array): Promise<number>
  setOneRegsAsync(memory: Uint8Array): Promise<number>
  bindClock(words: BigUint64Array): ClockCalls
}

/**
 * Loads the addon.
 *
 * @throws OneRegError ERR_KVM_UNAVAILABLE with the paths tried and the command that builds it
 */
export function loadAddon(): Addon {
  const root = path.resolve(fileURLToPath(import.meta.url), '..', '..')
  // Given in full: left alone, `bindings` guesses the root from a stack trace and prefers a
  // forgotten debug build.
  const candidates = [
    [root, 'build', 'Release', 'bindings'],
    [root, 'build', 'Debug', 'bindings'],
  ]
  try {
    return bindings({
      bindings: 'kvm_ppc_onereg.node',
      module_root: root,
      try: candidates,
    }) as Addon
  } catch (error) {
    const tried = candidates.map((parts) => path.join(...parts.slice(0, -1), 'kvm_ppc_onereg.node'))
    const [reason = ''] = String(error).split('\n')
    throw unavailable(
      `The native addon could not be loaded for ${process.platform}-${process.arch}: ${reason}. ` +
        `Tried ${tried.join(' and ')}. Build it in ${root} with: npm run build:addon`,
      error,
    )
  }
}

/**
 * The real kernel, through the native addon.
 *
 * Everywhere on Linux its calls can be made; the registers of {@link registers} and the timebase
 * are there on POWER only.
 */
export class NativeKernel implements Kernel {
  readonly backend = 'kvm'
  readonly #addon: Addon
  readonly #words = new BigUint64Array(new SharedArrayBuffer(32))
  readonly #clockResult = new Int32Array(this.#words.buffer, 24, 1)
  readonly #clock: ClockCalls

  /** @throws OneRegError ERR_KVM_UNAVAILABLE if the addon is not built for this machine */
  constructor() {
    this.#addon = loadAddon()
    this.#clock = this.#addon.bindClock(this.#words)
  }

  open(path: string): number {
    return this.#addon.open(path)
  }

  close(fd: number): number {
    return this.#addon.close(fd)
  }

  describe(fd: number): string | number {
    try {
      return readlinkSync(`/proc/self/fd/${checkInteger('fd', fd)}`)
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return -errnos.EBADF
      throw error
    }
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
    const { bound = this.#bind(batch) } = batch
    bound.get()
    return 0
  }

  setOneRegs(batch: OneRegBatch): number {
    const { bound = this.#bind(batch) } = batch
    bound.set()
    return 0
  }

  async getOneRegsAsync(batch: OneRegBatch): Promise<number> {
    return this.#addon.getOneRegsAsync(checkBatch(batch).memory)
  }

  async setOneRegsAsync(batch: OneRegBatch): Promise<number> {
    return this.#addon.setOneRegsAsync(checkBatch(batch).memory)
  }

  timebase(): bigint {
    this.#clock.timebase()
    const result = this.#clockResult[0] ?? 0
    return result < 0 ? BigInt(result) : (this.#words[0] ?? 0n)
  }

  timebaseFrequency(): bigint {
    return readTimebaseFrequency() ?? BigInt(-errnos.ENOSYS)
  }

  sample(into: BigUint64Array): number {
    checkSampleWords(into)
    this.#clock.sample()
    into.set(this.#words.subarray(0, 3))
    return this.#clockResult[0] ?? 0
  }

  #bind(batch: OneRegBatch): BoundCalls {
    return (checkBatch(batch).bound = this.#addon.bindBatch(batch.memory))
  }
}
