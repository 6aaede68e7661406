import bindings from 'bindings'
import { readlinkSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import type { OneRegBatch } from './batch.ts'
import { checkInteger } from './checks.ts'
import { unavailable } from './errors.ts'
import { errnos } from './errno.ts'
import type { Kernel } from './kernel.ts'
import { readTimebaseFrequency } from './timebase-frequency.ts'

/** What native/binding.cc exports. */
export interface Addon {
  open(path: string): number
  close(fd: number): number
  checkExtension(fd: number, extension: number): number
  createVm(fd: number, type: number): number
  createVcpu(fd: number, id: number): number
  getOneReg(fd: number, id: bigint, value: Uint8Array): number
  setOneReg(fd: number, id: bigint, value: Uint8Array): number
  getOneRegs(fds: Int32Array, ids: BigUint64Array, values: Uint8Array, results: Int32Array): number
  setOneRegs(fds: Int32Array, ids: BigUint64Array, values: Uint8Array, results: Int32Array): number
  timebase(): bigint
  sample(into: BigUint64Array): number
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

  /** @throws OneRegError ERR_KVM_UNAVAILABLE if the addon is not built for this machine */
  constructor() {
    this.#addon = loadAddon()
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

  getOneRegs({ fds, ids, values, results }: OneRegBatch): number {
    return this.#addon.getOneRegs(fds, ids, values, results)
  }

  setOneRegs({ fds, ids, values, results }: OneRegBatch): number {
    return this.#addon.setOneRegs(fds, ids, values, results)
  }

  timebase(): bigint {
    return this.#addon.timebase()
  }

  timebaseFrequency(): bigint {
    return readTimebaseFrequency() ?? BigInt(-errnos.ENOSYS)
  }

  sample(into: BigUint64Array): number {
    return this.#addon.sample(into)
  }
}
