import { isU64 } from '../checks.ts'
import { bigintIn } from '../state-text.ts'
import type { JsonObject } from '../state-text.ts'

/**
 * A vCPU's time registers, one row each, in the order in which they are written: the offset comes first,
 * because kernels before 5.17 keep DEC_EXPIRY relative to it.
 *
 * `field` is the register's field in {@link VcpuTimers}. TB_OFFSET has none, since it is the same on all vCPUs.
 *
 * `isReadBack` says whether a load reads the register back. A register that counts cannot be, since it holds
 * another value by then. Nor can VTB, which the siblings of a POWER8 core share.
 */
export const timeRegisters = [
  { name: 'TB_OFFSET', field: undefined, isReadBack: true },
  { name: 'DEC_EXPIRY', field: 'decExpiry', isReadBack: true },
  { name: 'VTB', field: 'vtb', isReadBack: false },
  { name: 'PURR', field: 'purr', isReadBack: false },
  { name: 'SPURR', field: 'spurr', isReadBack: false },
] as const

export type TimeRegister = (typeof timeRegisters)[number]
export type TimerName = TimeRegister['name']
export type TimerField = NonNullable<TimeRegister['field']>

/** An index into {@link timeRegisters}. */
export type TimerIndex = number

/**
 * The time registers of one vCPU that go along with the guest's timebase.
 *
 * @group Moving the timebase
 */
export interface VcpuTimers {
  /** The vCPU's id. */
  readonly id: number
  /** When the decrementer fires, in ticks of the guest's timebase, u64 (Linux 4.16). */
  readonly decExpiry?: bigint
  /** The virtual timebase, in ticks, u64: it stands still while the guest does (POWER8). */
  readonly vtb?: bigint
  /** Processor utilisation, in ticks, u64. */
  readonly purr?: bigint
  /** Scaled processor utilisation, in ticks, u64. */
  readonly spurr?: bigint
}

/** {@link VcpuTimers} in which a field that was not saved is undefined, so that all have one shape in V8. */
export type CheckedTimers = { readonly [F in 'id' | TimerField]: VcpuTimers[F] }

export const timerFields: readonly TimerField[] = timeRegisters.flatMap(({ field }) => field ?? [])

/** The index of each register in {@link timeRegisters}, by its field. */
export const indexOf = Object.fromEntries(
  timeRegisters.map(({ field }, index) => [field, index]),
) as Readonly<Record<TimerField, TimerIndex>>

// The functions below run while the guest is stopped, for up to thousands of vCPUs. So they name the fields
// one by one: V8 takes three times as long for a loop over names.

/** A copy of a caller's timers, each field of which is read once; undefined if one is wrong. */
export function copyTimers(timers: Partial<VcpuTimers>): CheckedTimers | undefined {
  const { id, decExpiry, vtb, purr, spurr } = timers
  const areValid =
    typeof id === 'number' &&
    (id & 0x7fff_ffff) === id &&
    isTicks(decExpiry) &&
    isTicks(vtb) &&
    isTicks(purr) &&
    isTicks(spurr)
  return areValid ? { id, decExpiry, vtb, purr, spurr } : undefined
}

function isTicks(value: unknown): boolean {
  return value === undefined || isU64(value)
}

/** The timers without those that are undefined. */
export function withoutAbsent(timers: CheckedTimers): VcpuTimers {
  const { decExpiry, vtb, purr, spurr } = timers
  const areComplete =
    decExpiry !== undefined && vtb !== undefined && purr !== undefined && spurr !== undefined
  if (areComplete) return timers as VcpuTimers
  const held = Object.entries(timers).filter(([, value]) => value !== undefined)
  return Object.fromEntries(held) as unknown as VcpuTimers
}

/** The timers as JSON has them. A field that is undefined is not in its text. */
export function timersToJson({ id, decExpiry, vtb, purr, spurr }: CheckedTimers): JsonObject {
  return {
    id,
    decExpiry: decExpiry?.toString(),
    vtb: vtb?.toString(),
    purr: purr?.toString(),
    spurr: spurr?.toString(),
  }
}

/**
 * The timers in a JSON object; whether the id and the ranges are right is not checked yet.
 *
 * @param path the path of the object, with the dot after it
 * @throws OneRegError ERR_STATE_FORMAT
 */
export function timersFromJson(json: JsonObject, path: string): VcpuTimers {
  return withoutAbsent({
    id: json['id'] as number,
    decExpiry: bigintIn(json, 'decExpiry', path),
    vtb: bigintIn(json, 'vtb', path),
    purr: bigintIn(json, 'purr', path),
    spurr: bigintIn(json, 'spurr', path),
  })
}
