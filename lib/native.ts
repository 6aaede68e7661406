import { readlinkSync } from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { checkBatch, OneRegBatch } from './batch.ts'
import { checkInteger, checkSampleWords } from './checks.ts'
import { unavailable } from './errors.ts'
import { errnos } from './errno.ts'
import type { Kernel } from './kernel.ts'
import { readTimebaseFrequency } from './timebase-frequency.ts'

/**
 * Calls without arguments, for which all is in four words of memory: what they leave there is the
 * timebase, or the timebase, the time of day and the half-width of their bracket; and what they find
 * there is the index of the batch. They return undefined, or `-errno`.
 */
export interface BoundCalls {
  readonly getOneRegs: () => number | undefined
  readonly setOneRegs: () => number | undefined
  readonly timebase: () => number | undefined
  readonly sample: () => number | undefined
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
  clockState(): { readonly state: number; readonly maxErrorUs: number }
  bindBatch(memory: Uint8Array): { readonly index: number }
  getOneRegsAsync(memory: Uint8Array): Promise<number>
  setOneRegsAsync(memory: Uint8Array): Promise<number>
  bindCalls(words: BigUint64Array): BoundCalls
}

/**
 * Loads the addon.
 *
 * @throws OneRegError ERR_KVM_UNAVAILABLE with the paths tried and the command that builds it
 */
export function loadAddon(): Addon {
  // Not imported above: whoever uses the model alone does without it.
  const bindings = createRequire(import.meta.url)('bindings') as (options: object) => unknown
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
 *
 * Its constructor throws OneRegError ERR_KVM_UNAVAILABLE if the addon is not built for this machine.
 */
export class NativeKernel implements Kernel {
  readonly backend = 'kvm'
  readonly #addon = loadAddon()
  readonly #words = new BigUint64Array(new SharedArrayBuffer(32))
  readonly #bound = this.#addon.bindCalls(this.#words)
  readonly #getOneRegs = this.#bound.getOneRegs
  readonly #setOneRegs = this.#bound.setOneRegs
  /** That of the last call, whose index is in place: at first one that nobody has. */
  #batch = new OneRegBatch(0)

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
    return readTimebaseFrequency() ?? BigInt(-errnos.ENOSYS)
  }

  sample(into: BigUint64Array): number {
    checkSampleWords(into)
    const failure = this.#bound.sample()
    into.set(this.#words.subarray(0, 3))
    return failure ?? 0
  }

  #select(batch: OneRegBatch): void {
    const { index } = (checkBatch(batch).bound ??= this.#addon.bindBatch(batch.memory))
    this.#words[3] = BigInt(index)
    this.#batch = batch
  }
}
