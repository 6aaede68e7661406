import type { ModelledLinux, ModelledMachine } from '../kernel/software/machine.ts'
import type { KvmKind } from '../kvm/this-machine.ts'
import type { Difference, Figure } from './trial.ts'

/**
 * The options of {@link verify}.
 *
 * @group Verifying a host
 */
export interface VerifyOptions {
  /** How long guests are moved, in all, from 1 to 3600 s. The default is 10. The rest takes some seconds more. */
  readonly seconds?: number
  /** How many vCPUs a guest has, from 1 to 1024. The default is 2. */
  readonly vcpus?: number
  /** Ends it: the guests are closed, and the promise rejects with the reason of the signal. */
  readonly signal?: AbortSignal
  /** Is called often, when something is tried. */
  readonly onProgress?: (progress: VerifyProgress) => void
}

/**
 * How far {@link verify} is.
 *
 * @group Verifying a host
 */
export interface VerifyProgress {
  /** The promise that is tried. */
  readonly name: string
  /** Its index. */
  readonly index: number
  /** How many there are. */
  readonly total: number
  /** What was seen of it so far, for people. */
  readonly seen: string
}

/**
 * A promise of this library that was tried.
 *
 * @group Verifying a host
 */
export interface TriedPromise {
  readonly name: string
  readonly kept: boolean
  /** What was wrong, in sentences: empty if it was kept. */
  readonly problems: readonly string[]
  readonly figures: readonly Figure[]
}

/**
 * The result of {@link verify}.
 *
 * @group Verifying a host
 */
export interface Certificate {
  /** Platform, kernel and Node. */
  readonly machine: string
  /** The processor as /proc/cpuinfo names it. */
  readonly processor: string
  /** How KVM runs guests here, or null if the kernel does not tell. */
  readonly kind: KvmKind | null
  /** Ticks per second of the timebase, in Hz. */
  readonly timebaseFrequency: bigint
  /** The host of the software model that is nearest to this one, or null if its machine was not measured. */
  readonly model: { readonly linux: ModelledLinux; readonly machine: ModelledMachine } | null
  readonly vcpus: number
  readonly seconds: number
  /** Whether all promises were kept. */
  readonly ok: boolean
  readonly promises: readonly TriedPromise[]
  /** The registers of a new vCPU that are not as the model has them. They break no promise. */
  readonly differences: readonly Difference[]
}
