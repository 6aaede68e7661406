import { shown, wrongType } from './checks.ts'
import { OneRegError, stateFormat } from './errors.ts'
import { countKeys, surveyJson } from './json.ts'
import type { Json, JsonSurvey } from './json.ts'

/** One of this library's formats, which are JSON with the fields `format` and `version`. */
export interface TextFormat {
  /** The field `format`. */
  readonly format: string
  /** The name for messages, such as `'saved timebase'`. */
  readonly what: string
  /** The version that is written, and the newest that is read. */
  readonly version: number
  /** The most characters that a text may have. */
  readonly limit: number
}

/** The most levels of arrays and objects in a text. Those that this release writes have 4. */
export const STATE_DEPTH_LIMIT = 16

/** The functions that read the formats, for the message when one is given another's text. */
const parsers: Readonly<Record<string, string>> = {
  'kvm-ppc-onereg/timebase': 'parseTimebase',
  'kvm-ppc-onereg/registers': 'parseRegisters',
  'kvm-ppc-onereg/one-reg': 'parseOneRegState',
}

export type JsonObject = Record<string, unknown>

/**
 * Parses a text in one of these formats, which need not be trusted. Of its fields only `format` and `version`
 * are checked.
 *
 * @throws OneRegError ERR_STATE_FORMAT, ERR_STATE_VERSION
 */
export function readText(text: unknown, format: TextFormat): JsonObject {
  if (typeof text !== 'string') throw wrongType('text', 'a string', text)
  const { what, limit } = format
  if (text.length > limit) throw stateFormat(`This ${what} has more than ${limit} characters`)
  let json: Json
  try {
    json = JSON.parse(text) as Json
  } catch (error) {
    checkDepth(surveyJson(text), what)
    throw stateFormat(`This ${what} is not JSON`, error)
  }
  if (!isAsWritten(text, json)) {
    const survey = surveyJson(text)
    checkDepth(survey, what)
    if (countKeys(json) !== survey.keys) {
      throw stateFormat(
        `This ${what} has a field twice, so that it is not clear which value counts`,
      )
    }
  }
  if (!isObject(json)) throw stateFormat(`A ${what} is a JSON object`)
  checkFormat(json, format)
  return json
}

/**
 * Whether a text is what JSON.stringify writes, as the texts of this library are. Such a text has no field twice.
 * The comparison is done in V8's C++. surveyJson would take as long as all the rest of parsing when a process
 * first calls it, because its loop is interpreted then.
 */
function isAsWritten(text: string, json: Json): boolean {
  try {
    return JSON.stringify(json) === text
  } catch {
    // It is nested too deep for JSON.stringify.
    return false
  }
}

function checkDepth({ depth }: JsonSurvey, what: string): void {
  if (depth <= STATE_DEPTH_LIMIT) return
  throw stateFormat(`This ${what} is nested more than ${STATE_DEPTH_LIMIT} levels deep`)
}

/**
 * Checks the fields `format` and `version` of an object.
 *
 * @throws OneRegError ERR_STATE_FORMAT, ERR_STATE_VERSION
 */
export function checkFormat(json: JsonObject, { format, what, version }: TextFormat): void {
  const found = json['format']
  if (found !== format) {
    const parser = typeof found === 'string' ? parsers[found] : undefined
    const hint = parser === undefined ? '' : `; ${parser} reads ${shown(found)}`
    throw stateFormat(`This is not a ${what}: "format" must be "${format}"${hint}`)
  }
  const given = json['version']
  if (given === version) return
  const problem = `This ${what} has version ${shown(given)}; this release reads version ${version}`
  if (typeof given === 'number' && Number.isInteger(given) && given > version) {
    throw new OneRegError(
      'ERR_STATE_VERSION',
      `${problem}: upgrade kvm-ppc-onereg here, or save with the older release`,
    )
  }
  throw stateFormat(problem)
}

/** The fields `format` and `version`, which come first. */
export function formatFields({ format, version }: TextFormat): { format: string; version: number } {
  return { format, version }
}

/**
 * Makes `JSON.stringify(state)` give the text of the format. Without it, the bigints would make that throw.
 * The property is not enumerable, so a copy by spreading does not have it.
 */
export function withToJson<T extends object>(state: T, toJson: (state: T) => JsonObject): T {
  return Object.defineProperty(state, 'toJSON', { value: () => toJson(state) })
}

export function isObject<T>(value: T): value is T & JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/**
 * Checks that an object has no other fields than these.
 *
 * @param path the path of the object, with the dot after it
 * @throws OneRegError ERR_STATE_FORMAT
 */
export function refuseUnknown(json: object, known: readonly string[], path: string): void {
  for (const key of Object.keys(json)) {
    if (!known.includes(key)) throw stateFormat(`The field ${shown(path + key)} is not known`)
  }
}

/**
 * Parses an integer of 64 bits, which these formats have as a string of decimal digits.
 *
 * @param path the path of the field
 * @throws OneRegError ERR_STATE_FORMAT
 */
export function bigintOf(value: unknown, path: string): bigint {
  // 2^64 has 20 digits. Longer numbers are refused first, since BigInt takes long for them.
  if (typeof value !== 'string' || !isDecimal(value)) {
    throw stateFormat(`The field "${path}" must be a whole number in a string`)
  }
  return BigInt(value)
}

/**
 * The integer in a field of an object, as {@link bigintOf} reads it; undefined without the field.
 *
 * @param path the path of the object, with the dot after it
 * @throws OneRegError ERR_STATE_FORMAT
 */
export function bigintIn(json: JsonObject, field: string, path: string): bigint | undefined {
  return Object.hasOwn(json, field) ? bigintOf(json[field], path + field) : undefined
}

const MINUS = 0x2d
const ZERO = 0x30
const NINE = 0x39

/**
 * Whether a text is a number of 1 to 20 digits, with or without a minus. A regular expression takes three times
 * as long, and is compiled when it is first used.
 */
function isDecimal(text: string): boolean {
  const { length } = text
  const start = text.charCodeAt(0) === MINUS ? 1 : 0
  if (length === start || length > start + 20) return false
  for (let at = start; at < length; at++) {
    const code = text.charCodeAt(at)
    if (code < ZERO || code > NINE) return false
  }
  return true
}
