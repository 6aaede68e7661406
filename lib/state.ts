import {
  checkInteger,
  checkObject,
  checkU64,
  firstRepeated,
  isU64,
  outOfRange,
  shown,
  wrongType,
} from './checks.ts'
import { stateFormat } from './errors.ts'
import { countKeys, surveyJson } from './json.ts'
import type { Json } from './json.ts'
import { checkTimebasePoint } from './timebase.ts'
import type { TimebasePoint } from './timebase.ts'

/** The time registers of one vCPU that go along with the guest's timebase. */
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

/** A guest's timebase, taken from its host by {@link saveTimebase}. */
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
const VERSION = 1

const pointFields = [
  'guestTimebase',
  'timeOfDayNs',
  'timebaseFrequency',
  'uncertaintyNs',
  'offset',
] as const
const optionalFields = ['roundingTicks'] as const
const timerFields = ['decExpiry', 'vtb', 'purr', 'spurr'] as const

/**
 * Checks a state that a caller hands in.
 *
 * @throws TypeError, RangeError
 */
export function checkTimebaseState(value: unknown): void {
  checkTimebasePoint('state', value)
  const { offset, vcpus } = value as Partial<TimebaseState>
  checkU64('state.offset', offset)
  if (!Array.isArray(vcpus)) throw wrongType('state.vcpus', 'an array', vcpus)
  if (vcpus.length > STATE_VCPU_LIMIT) {
    throw outOfRange('state.vcpus', `at most ${STATE_VCPU_LIMIT} long`, vcpus.length)
  }
  let last = -1
  let areRising = true
  // By index: a hole of an array is none to forEach.
  for (let index = 0; index < vcpus.length; index++) {
    const vcpu: unknown = vcpus[index]
    if (!isRight(vcpu)) checkVcpu(`state.vcpus[${index}]`, vcpu)
    const { id } = vcpu as VcpuTimers
    areRising &&= id > last
    last = id
  }
  if (areRising) return
  const ids = (vcpus as VcpuTimers[]).map(({ id }) => id)
  const repeated = firstRepeated(ids)
  if (repeated === undefined) return
  const index = ids.indexOf(repeated, ids.indexOf(repeated) + 1)
  throw outOfRange(`state.vcpus[${index}].id`, 'unique', repeated)
}

/** Looked at without a name in hand, which would have to be made for each of a thousand vCPUs. */
function isRight(vcpu: unknown): vcpu is VcpuTimers {
  if (typeof vcpu !== 'object' || vcpu === null) return false
  const { id, decExpiry, vtb, purr, spurr } = vcpu as Partial<Record<keyof VcpuTimers, unknown>>
  return (
    typeof id === 'number' &&
    (id & 0x7fff_ffff) === id &&
    (decExpiry === undefined || isU64(decExpiry)) &&
    (vtb === undefined || isU64(vtb)) &&
    (purr === undefined || isU64(purr)) &&
    (spurr === undefined || isU64(spurr))
  )
}

/** Says what is wrong with it. */
function checkVcpu(name: string, vcpu: unknown): void {
  const timers = checkObject(name, vcpu) as Partial<VcpuTimers>
  checkInteger(`${name}.id`, timers.id)
  for (const field of timerFields) {
    if (timers[field] !== undefined) checkU64(`${name}.${field}`, timers[field])
  }
}

/**
 * The state as JSON text: `format`, `version`, and the state's fields by name; 64-bit values are
 * decimal strings, since JSON's numbers lose their low bits.
 *
 * @throws TypeError, RangeError for a state with a wrong field
 */
export function serializeTimebase(state: TimebaseState): string {
  checkTimebaseState(state)
  const vcpus = state.vcpus.map((vcpu) => ({ id: vcpu.id, ...decimals(vcpu, timerFields) }))
  const point = decimals(state, [...pointFields, ...optionalFields])
  return JSON.stringify({ format: FORMAT, version: VERSION, ...point, vcpus })
}

/**
 * The state that {@link serializeTimebase} wrote. The text may be anybody's.
 *
 * @throws OneRegError ERR_STATE_FORMAT for text that is not JSON, another format, a newer version, a
 *   field that is missing, unknown, out of range or there twice; for more than 4 Mi characters, 16,384
 *   vCPUs, or 16 arrays and objects within each other
 */
export function parseTimebase(text: string): TimebaseState {
  if (typeof text !== 'string') throw wrongType('text', 'a string', text)
  const json = jsonObject(text)
  if (json['format'] !== FORMAT) {
    throw stateFormat(`This is no saved timebase: "format" must be "${FORMAT}"`)
  }
  if (json['version'] !== VERSION) {
    throw stateFormat(
      `This saved timebase has version ${shown(json['version'])}; this release reads version ${VERSION}`,
    )
  }
  refuseUnknown(json, ['format', 'version', ...pointFields, ...optionalFields, 'vcpus'], '')
  if (!Array.isArray(json['vcpus'])) throw stateFormat('The field "vcpus" must be an array')
  const state = {
    ...bigints(json, pointFields, '', true),
    ...bigints(json, optionalFields, '', false),
    vcpus: json['vcpus'].map((vcpu, index) => parseVcpu(vcpu, `vcpus[${index}].`)),
  }
  try {
    checkTimebaseState(state)
  } catch (error) {
    throw stateFormat(`In this saved timebase, ${(error as Error).message}`, error)
  }
  return state as unknown as TimebaseState
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
    throw stateFormat('This saved timebase has a field twice, of which nobody can say which counts')
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
  value: Readonly<Partial<Record<F, bigint>>>,
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
      // At most as many digits as 2^64 has, so that nobody's text costs time.
      if (typeof held !== 'string' || !/^-?\d{1,20}$/.test(held)) {
        throw stateFormat(`The field "${path}${field}" must be a whole number in a string`)
      }
      return [[field, BigInt(held)]]
    }),
  )
}
