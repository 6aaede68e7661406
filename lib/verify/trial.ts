import { setTimeout as wait } from 'node:timers/promises'
import type { Host } from '../kvm/host.ts'
import type { inheritTimebase } from '../timebase/inherit.ts'
import type { loadTimebase } from '../timebase/load.ts'
import type { saveTimebase } from '../timebase/save.ts'

/** The calls of this library that are tried. */
export interface Calls {
  readonly saveTimebase: typeof saveTimebase
  readonly loadTimebase: typeof loadTimebase
  readonly inheritTimebase: typeof inheritTimebase
}

/** The conditions under which a promise is tried. */
export interface Trial {
  readonly host: Host
  readonly calls: Calls
  /** How many vCPUs a guest has. */
  readonly vcpus: number
  /** For how long a guest is moved in each way, in ms. */
  readonly moveForMs: number
  readonly signal: AbortSignal
  /** Collects what is wrong: the promise is kept if there is nothing. */
  readonly problems: Problems
  /** Shows how far it is. */
  readonly tell: (seen: string) => void
}

/**
 * A number that was seen.
 *
 * @group Verifying a host
 */
export interface Figure {
  readonly name: string
  readonly value: bigint
  /** `'ticks'` of the timebase, `'ns'`, or `'count'`. */
  readonly unit: 'ticks' | 'ns' | 'count'
}

/**
 * A register that is not as the software model has it.
 *
 * @group Verifying a host
 */
export interface Difference {
  readonly register: string
  readonly found: string
  readonly expected: string
}

/** The result of a trial. */
export interface Found {
  readonly figures: readonly Figure[]
  readonly differences?: readonly Difference[]
}

/** A promise of this library, and how it is tried. */
export interface Promised {
  readonly name: string
  readonly try: (trial: Trial) => Found | Promise<Found>
}

/** More problems of one promise are counted, not listed. */
const MOST_PROBLEMS = 3

/** Collects what is wrong. */
export class Problems {
  readonly #listed: string[] = []
  #more = 0

  /** Notes a problem unless the condition holds. */
  expect(holds: boolean, problem: () => string): void {
    if (!holds) this.add(problem())
  }

  add(problem: string): void {
    if (this.#listed.length < MOST_PROBLEMS) this.#listed.push(problem)
    else this.#more++
  }

  get all(): string[] {
    return this.#more === 0 ? this.#listed : [...this.#listed, `${this.#more} more`]
  }
}

export function count(name: string, value: bigint | number): Figure {
  return { name, value: BigInt(value), unit: 'count' }
}

export function ticks(name: string, value: bigint): Figure {
  return { name, value, unit: 'ticks' }
}

export function nanoseconds(name: string, value: bigint): Figure {
  return { name, value, unit: 'ns' }
}

export function largest(values: readonly bigint[]): bigint {
  return values.reduce((most, value) => (value > most ? value : most), values[0] ?? 0n)
}

export function smallest(values: readonly bigint[]): bigint {
  return values.reduce((least, value) => (value < least ? value : least), values[0] ?? 0n)
}

export function sum(values: readonly bigint[]): bigint {
  return values.reduce((total, value) => total + value, 0n)
}

export function mean(values: readonly bigint[]): bigint {
  return values.length === 0 ? 0n : sum(values) / BigInt(values.length)
}

export function median(values: readonly bigint[]): bigint {
  const sorted = values.toSorted((one, other) => (one < other ? -1 : 1))
  return sorted[Math.floor(sorted.length / 2)] ?? 0n
}

export function magnitude(value: bigint): bigint {
  return value < 0n ? -value : value
}

/** How far one timebase is ahead of another, in ticks; below 0 if it is behind. */
export function ahead(one: bigint, other: bigint): bigint {
  return BigInt.asIntN(64, one - other)
}

/** A guest that does nothing for a minute is taken to hang. Even a busy machine needs only milliseconds. */
const HANGS_MS = 60_000

/**
 * Waits until the guest has done something.
 *
 * @throws Error if it never does
 */
export async function until(
  what: string,
  isDone: () => boolean,
  { signal }: Pick<Trial, 'signal'>,
): Promise<void> {
  const started = performance.now()
  while (!isDone()) {
    signal.throwIfAborted()
    if (performance.now() - started > HANGS_MS) {
      throw new Error(`After ${HANGS_MS / 1000} s ${what}: the guest hangs`)
    }
    await wait(1)
  }
}
