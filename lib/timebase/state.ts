import {
  checkArray,
  checkInteger,
  checkObject,
  checkU64,
  firstRepeated,
  isU64,
  outOfRange,
  shown,
  wrongType,
} from '../checks.ts'
import { stateFormat } from '../errors.ts'
import { countKeys, surveyJson } from '../json.ts'
import type { Json } from '../json.ts'
import { checkTimebasePoint } from './plan.ts'
import type { CheckedPoint, TimebasePoint } from './plan.ts'

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

/**
 * A guest's timebase, taken from its host by {@link saveTimebase}.
 *
 * @group Moving the timebase
 */
export interface TimebaseState extends TimebasePoint {
  /** TB_OFFSET of the source's vCPUs, in ticks, u64: for the record, since a load does not use it. */
  readonly offset: bigint
  readonly vcpus: readonly VcpuTimers[]
}

/** vCPUs of one guest: as many ids as Linux has for them on POWER (KVM_MAX_VCPU_IDS). */
export const STATE_VCPU_LIMIT = 1 << 14

/** Characters of a saved timebase: 4 Mi. A vCPU with all its timers takes 150, indented by two 190. */
export const STATE_TEXT_LIMIT = 4 * 1024 * 1024

/** Arrays and objects within each other in it. Those that this release writes have 3. */
export const STATE_DEPTH_LIMIT = 16

const FORMAT = 'kvm-ppc-onereg/timebase'
/** The version that is written, and those that are read. */
const VERSION = 1
const READABLE_VERSIONS: ReadonlySet<unknown> = new Set([VERSION])

const pointFields = [
  'guestTimebase',
  'timeOfDayNs',
  'timebaseFrequency',
  'uncertaintyNs',
  'offset',
] as const
const optionalFields = ['roundingTicks'] as const
const timerFields = ['decExpiry', 'vtb', 'purr', 'spurr'] as const

/** A copy of a state that a caller handed in, checked. */
export interface CheckedState extends CheckedPoint {
  readonly offset: bigint
  readonly vcpus: readonly CheckedTimers[]
}

/** {@link VcpuTimers} in which a field that was not saved is undefined, so that all have one shape in V8. */
export type CheckedTimers = { readonly [F in keyof Required<VcpuTimers>]: VcpuTimers[F] }

/**
 * Checks a state that a caller hands in.
 *
 * @throws TypeError, RangeError
 */
export function checkTimebaseState(value: unknown): CheckedState {
  const { guestTimebase, timeOfDayNs, timebaseFrequency, uncertaintyNs, roundingTicks, clock } =
    checkTimebasePoint('state', value)
  const state = value as Partial<TimebaseState>
  const offset = checkU64('state.offset', state.offset)
  const given = checkArray('state.vcpus', 'timers', state.vcpus, STATE_VCPU_LIMIT)
  const vcpus: CheckedTimers[] = []
  const ids: number[] = []
  for (let index = 0; index < given.length; index++) {
    const vcpu = given[index]
    const timers = timersIfValid(vcpu) ?? checkTimers(`state.vcpus[${index}]`, vcpu)
    vcpus.push(timers)
    ids.push(timers.id)
  }
  const index = firstRepeated(ids)
  const repeated = vcpus[index]
  if (repeated !== undefined) throw outOfRange(`state.vcpus[${index}].id`, 'unique', repeated.id)
  // The fields are named one by one: V8 takes longer for a spread than for the checks.
  return {
    guestTimebase,
    timeOfDayNs,
    timebaseFrequency,
    uncertaintyNs,
    roundingTicks,
    clock,
    offset,
    vcpus,
  }
}

/** Fast path: undefined if a field is wrong. Building the field's name would cost more than the check. */
function timersIfValid(vcpu: unknown): CheckedTimers | undefined {
  if (typeof vcpu !== 'object' || vcpu === null) return undefined
  const { id, decExpiry, vtb, purr, spurr } = vcpu as Partial<VcpuTimers>
  const areValid =
    typeof id === 'number' &&
    (id & 0x7fff_ffff) === id &&
    (decExpiry === undefined || isU64(decExpiry)) &&
    (vtb === undefined || isU64(vtb)) &&
    (purr === undefined || isU64(purr)) &&
    (spurr === undefined || isU64(spurr))
  return areValid ? { id, decExpiry, vtb, purr, spurr } : undefined
}

/** Slow path: throws the error that names the field. */
function checkTimers(name: string, vcpu: unknown): CheckedTimers {
  const timers = checkObject(name, vcpu) as Partial<VcpuTimers>
  const ticks = (field: (typeof timerFields)[number]) => {
    const held = timers[field]
    return held === undefined ? undefined : checkU64(`${name}.${field}`, held)
  }
  return {
    id: checkInteger(`${name}.id`, timers.id),
    decExpiry: ticks('decExpiry'),
    vtb: ticks('vtb'),
    purr: ticks('purr'),
    spurr: ticks('spurr'),
  }
}

/**
 * The state as JSON text: `format`, `version`, and the state's fields by name; 64-bit values are
 * decimal strings, since JSON's numbers lose their low bits.
 *
 * @param state the result of {@link saveTimebase}
 * @throws TypeError, RangeError for a state with a wrong field
 * @example
 * ```ts
 * await writeFile('guest.json', serializeTimebase(saveTimebase(vcpus)))
 * ```
 * @group Moving the timebase
 */
export function serializeTimebase(state: TimebaseState): string {
  const checked = checkTimebaseState(state)
  const vcpus = checked.vcpus.map((vcpu) => ({ id: vcpu.id, ...decimals(vcpu, timerFields) }))
  const point = decimals(checked, [...pointFields, ...optionalFields])
  const clock = checked.clock && {
    synchronised: checked.clock.synchronised,
    ...decimals(checked.clock, ['maxErrorNs']),
  }
  return JSON.stringify({ format: FORMAT, version: VERSION, ...point, clock, vcpus })
}

/**
 * Reads a state that {@link serializeTimebase} wrote. The text need not be trusted.
 *
 *     const state = parseTimebase(await readFile('timebase.json', 'utf8'))
 *
 * @param text the result of {@link serializeTimebase}
 * @throws OneRegError ERR_STATE_FORMAT for text that is not JSON, another format, a newer version, a
 *   field that is missing, unknown, out of range or there twice; for more than 4 Mi characters, 16,384
 *   vCPUs, or 16 arrays and objects within each other
 * @example
 * ```ts
 * loadTimebase(vcpus, parseTimebase(await readFile('guest.json', 'utf8')))
 * ```
 * @group Moving the timebase
 */
export function parseTimebase(text: string): TimebaseState {
  if (typeof text !== 'string') throw wrongType('text', 'a string', text)
  const json = jsonObject(text)
  if (json['format'] !== FORMAT) {
    throw stateFormat(`This is not a saved timebase: "format" must be "${FORMAT}"`)
  }
  if (!READABLE_VERSIONS.has(json['version'])) {
    throw stateFormat(
      `This saved timebase has version ${shown(json['version'])}; this release reads version ${[...READABLE_VERSIONS].join(', ')}`,
    )
  }
  refuseUnknown(
    json,
    ['format', 'version', ...pointFields, ...optionalFields, 'clock', 'vcpus'],
    '',
  )
  if (!Array.isArray(json['vcpus'])) throw stateFormat('The field "vcpus" must be an array')
  const state = {
    ...bigints(json, pointFields, '', true),
    ...bigints(json, optionalFields, '', false),
    ...(Object.hasOwn(json, 'clock') && { clock: parseClock(json['clock']) }),
    vcpus: json['vcpus'].map((vcpu, index) => parseVcpu(vcpu, `vcpus[${index}].`)),
  }
  try {
    checkTimebaseState(state)
  } catch (error) {
    throw stateFormat(`In this saved timebase, ${(error as Error).message}`, error)
  }
  return state as unknown as TimebaseState
}

function parseClock(value: unknown): Record<string, unknown> {
  if (!isObject(value)) throw stateFormat('The field "clock" must be an object')
  refuseUnknown(value, ['synchronised', 'maxErrorNs'], 'clock.')
  return {
    synchronised: value['synchronised'],
    ...bigints(value, ['maxErrorNs'], 'clock.', true),
  }
}

function parseVcpu(value: unknown, path: string): Record<string, unknown> {
  if (!isObject(value)) throw stateFormat(`${path.slice(0, -1)} must be an object`)
  refuseUnknown(value, ['id', ...timerFields], path)
  return { id: value['id'], ...bigints(value, timerFields, path, false) }
}

function jsonObject(text: string): Record<string, unknown> {
  if (text.length > STATE_TEXT_LIMIT) {
    throw stateFormat(`This saved timebase has more than ${STATE_TEXT_LIMIT} characters`)
  }
  const { depth, keys } = surveyJson(Buffer.from(text))
  if (depth > STATE_DEPTH_LIMIT) {
    throw stateFormat(`This saved timebase is nested more than ${STATE_DEPTH_LIMIT} levels deep`)
  }
  let json: Json
  try {
    json = JSON.parse(text) as Json
  } catch (error) {
    throw stateFormat('This saved timebase is not JSON', error)
  }
  if (!isObject(json)) throw stateFormat('A saved timebase is a JSON object')
  if (countKeys(json) !== keys) {
    throw stateFormat(
      'This saved timebase has a field twice, so that it is not clear which value counts',
    )
  }
  return json
}

function isObject<T>(value: T): value is T & Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function refuseUnknown(json: object, known: readonly string[], path: string): void {
  for (const key of Object.keys(json)) {
    if (!known.includes(key)) throw stateFormat(`The field ${shown(path + key)} is not known`)
  }
}

function decimals<F extends string>(
  value: Readonly<Partial<Record<F, bigint | undefined>>>,
  fields: readonly F[],
): Record<string, string> {
  return Object.fromEntries(
    fields.flatMap((field) => {
      const held = value[field]
      return held === undefined ? [] : [[field, held.toString()]]
    }),
  )
}

function bigints(
  json: Record<string, unknown>,
  fields: readonly string[],
  path: string,
  required: boolean,
): Record<string, bigint> {
  return Object.fromEntries(
    fields.flatMap((field) => {
      if (!Object.hasOwn(json, field)) {
        if (required) throw stateFormat(`The field "${path}${field}" is missing`)
        return []
      }
      const held = json[field]
      // At most as many digits as 2^64 has: a long number would take BigInt a long time.
      if (typeof held !== 'string' || !/^-?\d{1,20}$/.test(held)) {
        throw stateFormat(`The field "${path}${field}" must be a whole number in a string`)
      }
      return [[field, BigInt(held)]]
    }),
  )
}
