import {
  checkArray,
  checkInteger,
  checkObject,
  checkU64,
  firstRepeated,
  outOfRange,
} from '../checks.ts'
import { stateFormat } from '../errors.ts'
import type { WallClock } from '../kernel/wall-clock.ts'
import {
  bigintIn,
  checkFormat,
  isObject,
  readText,
  refuseUnknown,
  withToJson,
} from '../state-text.ts'
import type { JsonObject, TextFormat } from '../state-text.ts'
import { checkTimebasePoint } from './plan.ts'
import type { CheckedPoint, TimebasePoint, Writable } from './plan.ts'
import { copyTimers, timerFields, timersFromJson, timersToJson } from './timers.ts'
import type { CheckedTimers, VcpuTimers } from './timers.ts'

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

const FORMAT: TextFormat = {
  format: 'kvm-ppc-onereg/timebase',
  what: 'saved timebase',
  version: 1,
  limit: STATE_TEXT_LIMIT,
}

const textFields = [
  'format',
  'version',
  'guestTimebase',
  'timeOfDayNs',
  'timebaseFrequency',
  'uncertaintyNs',
  'offset',
  'roundingTicks',
  'clock',
  'vcpus',
]
const clockFields = ['synchronised', 'maxErrorNs']
const vcpuFields = ['id', ...timerFields]

/** A checked copy of a caller's state. */
export interface CheckedState extends CheckedPoint {
  readonly offset: bigint
  readonly vcpus: readonly CheckedTimers[]
}

/**
 * Checks and copies a caller's state.
 *
 * @throws TypeError, RangeError
 */
export function checkTimebaseState(value: unknown): CheckedState {
  const { guestTimebase, timeOfDayNs, timebaseFrequency, uncertaintyNs, roundingTicks, clock } =
    checkTimebasePoint('state', value)
  const state = value as Partial<TimebaseState>
  const offset = checkU64('state.offset', state.offset)
  const given = checkArray('state.vcpus', 'timers', state.vcpus, STATE_VCPU_LIMIT)
  const vcpus = new Array<CheckedTimers>(given.length)
  const ids = new Array<number>(given.length)
  for (let index = 0; index < given.length; index++) {
    const timers = timersIfValid(given[index]) ?? checkTimers(`state.vcpus[${index}]`, given[index])
    vcpus[index] = timers
    ids[index] = timers.id
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
  return typeof vcpu === 'object' && vcpu !== null ? copyTimers(vcpu) : undefined
}

/** Slow path: throws the error that names the field. */
function checkTimers(name: string, vcpu: unknown): CheckedTimers {
  const timers = checkObject(name, vcpu) as Partial<VcpuTimers>
  const id = checkInteger(`${name}.id`, timers.id)
  const fields = timerFields.map((field) => {
    const ticks = timers[field]
    return [field, ticks === undefined ? undefined : checkU64(`${name}.${field}`, ticks)] as const
  })
  return { id, ...(Object.fromEntries(fields) as Omit<CheckedTimers, 'id'>) }
}

/**
 * The state as JSON text: `format`, `version`, and the state's fields by name; 64-bit values are
 * decimal strings, since JSON's numbers lose their low bits. `JSON.stringify` of a state from
 * {@link saveTimebase} or {@link parseTimebase} gives the same text, also where the state is part of another
 * object; a copy of the state made by spreading has bigints, and makes it throw.
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
  return JSON.stringify(timebaseToJson(state))
}

/** The object whose JSON {@link serializeTimebase} gives. */
export function timebaseToJson(state: TimebaseState): JsonObject {
  const checked = checkTimebaseState(state)
  const { clock } = checked
  // One by one: V8 takes several times as long for loops over names and for spreads. JSON.stringify leaves out
  // what is undefined.
  return {
    format: FORMAT.format,
    version: FORMAT.version,
    guestTimebase: checked.guestTimebase.toString(),
    timeOfDayNs: checked.timeOfDayNs.toString(),
    timebaseFrequency: checked.timebaseFrequency.toString(),
    uncertaintyNs: checked.uncertaintyNs.toString(),
    offset: checked.offset.toString(),
    roundingTicks: checked.roundingTicks?.toString(),
    clock: clock && {
      synchronised: clock.synchronised,
      maxErrorNs: clock.maxErrorNs.toString(),
    },
    vcpus: checked.vcpus.map(timersToJson),
  }
}

/**
 * Reads a state that {@link serializeTimebase} wrote. The text need not be trusted.
 *
 *     const state = parseTimebase(await readFile('timebase.json', 'utf8'))
 *
 * @param text the result of {@link serializeTimebase}
 * @throws OneRegError ERR_STATE_FORMAT for text that is not JSON, another format, a field that is
 *   missing, unknown, out of range or there twice; for more than 4 Mi characters, 16,384 vCPUs, or 16
 *   arrays and objects within each other
 * @throws OneRegError ERR_STATE_VERSION for a state of a newer release, whose version this one does not know
 * @example
 * ```ts
 * loadTimebase(vcpus, parseTimebase(await readFile('guest.json', 'utf8')))
 * ```
 * @group Moving the timebase
 */
export function parseTimebase(text: string): TimebaseState {
  return timebaseFields(readText(text, FORMAT))
}

/**
 * A state that is part of another JSON object.
 *
 * @throws OneRegError ERR_STATE_FORMAT, ERR_STATE_VERSION
 */
export function timebaseFromJson(value: unknown, path: string): TimebaseState {
  if (!isObject(value)) throw stateFormat(`The field "${path}" must be an object`)
  checkFormat(value, FORMAT)
  return timebaseFields(value)
}

function timebaseFields(json: JsonObject): TimebaseState {
  refuseUnknown(json, textFields, '')
  const { vcpus } = json
  if (!Array.isArray(vcpus)) throw stateFormat('The field "vcpus" must be an array')
  const state: Writable<TimebaseState> = {
    guestTimebase: requiredIn(json, 'guestTimebase', ''),
    timeOfDayNs: requiredIn(json, 'timeOfDayNs', ''),
    timebaseFrequency: requiredIn(json, 'timebaseFrequency', ''),
    uncertaintyNs: requiredIn(json, 'uncertaintyNs', ''),
    offset: requiredIn(json, 'offset', ''),
    vcpus: vcpus.map(parseVcpu),
  }
  const roundingTicks = bigintIn(json, 'roundingTicks', '')
  if (roundingTicks !== undefined) state.roundingTicks = roundingTicks
  if (Object.hasOwn(json, 'clock')) state.clock = parseClock(json['clock'])
  try {
    checkTimebaseState(state)
  } catch (error) {
    throw stateFormat(`In this saved timebase, ${(error as Error).message}`, error)
  }
  return withToJson(state, timebaseToJson)
}

function parseClock(value: unknown): WallClock {
  if (!isObject(value)) throw stateFormat('The field "clock" must be an object')
  refuseUnknown(value, clockFields, 'clock.')
  return {
    synchronised: value['synchronised'] as boolean,
    maxErrorNs: requiredIn(value, 'maxErrorNs', 'clock.'),
  }
}

function parseVcpu(value: unknown, index: number): VcpuTimers {
  const path = `vcpus[${index}]`
  if (!isObject(value)) throw stateFormat(`${path} must be an object`)
  refuseUnknown(value, vcpuFields, `${path}.`)
  return timersFromJson(value, `${path}.`)
}

function requiredIn(json: JsonObject, field: string, path: string): bigint {
  const found = bigintIn(json, field, path)
  if (found === undefined) throw stateFormat(`The field "${path}${field}" is missing`)
  return found
}
