import { inspect, types } from 'node:util'

/**
 * The checks of what a caller hands in. The errors are Node's: TypeError with
 * ERR_INVALID_ARG_TYPE or ERR_INVALID_ARG_VALUE, RangeError with ERR_OUT_OF_RANGE.
 *
 * Reading what is handed in can run the caller's code, by a getter or a proxy. So it is read once,
 * checked, and used as it was read; and all of it before a descriptor is taken or memory that calls
 * share is touched, since that code may close the one and make calls that use the other.
 */

const I64_MIN = -(1n << 63n)
const I64_MAX = (1n << 63n) - 1n
const I32_MAX = 0x7fff_ffff

type ArgumentCode = 'ERR_INVALID_ARG_TYPE' | 'ERR_INVALID_ARG_VALUE' | 'ERR_OUT_OF_RANGE'

function withCode<E extends Error>(error: E, code: ArgumentCode): E & { code: ArgumentCode } {
  return Object.assign(error, { code })
}

/** A value in an error message, however deep or long it is. */
export function shown(value: unknown): string {
  return inspect(value, { depth: 0, maxStringLength: 64, maxArrayLength: 4, breakLength: Infinity })
}

export function wrongType(name: string, expected: string, value: unknown): TypeError {
  const hint = typeof value === 'number' && expected.includes('bigint') ? '; write 1n, not 1' : ''
  return withCode(
    new TypeError(`${name} must be ${expected}, not ${shown(value)}${hint}`),
    'ERR_INVALID_ARG_TYPE',
  )
}

export function wrongValue(name: string, expected: string, value: unknown): TypeError {
  return withCode(
    new TypeError(`${name} must be ${expected}, not ${shown(value)}`),
    'ERR_INVALID_ARG_VALUE',
  )
}

export function outOfRange(name: string, expected: string, value: unknown): RangeError {
  return withCode(
    new RangeError(`${name} must be ${expected}, not ${shown(value)}`),
    'ERR_OUT_OF_RANGE',
  )
}

/** An integer from 0 to `max`, which is 2^31 - 1 unless told: a file descriptor, an id, a capability. */
export function checkInteger(name: string, value: unknown, max: number = I32_MAX): number {
  if (typeof value !== 'number') throw wrongType(name, 'a number', value)
  if (!Number.isInteger(value) || value < 0 || value > max) {
    throw outOfRange(name, `an integer from 0 to ${max}`, value)
  }
  return value
}

/** An unsigned 64-bit value. */
export function checkU64(name: string, value: unknown): bigint {
  if (typeof value !== 'bigint') throw wrongType(name, 'a bigint', value)
  if (!isU64(value)) throw outOfRange(name, 'from 0 to 2^64 - 1', value)
  return value
}

/** Whether it is an unsigned 64-bit value: by one comparison, since comparing bigints is a call. */
export function isU64(value: unknown): boolean {
  return typeof value === 'bigint' && BigInt.asUintN(64, value) === value
}

/** The index of the first of these ids that one before it equals, or -1. */
export function firstRepeated(ids: readonly number[]): number {
  // As nearly always, and a set of a thousand takes a while.
  if (areRising(ids)) return -1
  const seen = new Set<number>()
  return ids.findIndex((id) => seen.size === seen.add(id).size)
}

function areRising(ids: readonly number[]): boolean {
  let last = -1
  for (const id of ids) {
    if (id <= last) return false
    last = id
  }
  return true
}

/** A signed 64-bit value: a time since the epoch. */
export function checkI64(name: string, value: unknown): bigint {
  if (typeof value !== 'bigint') throw wrongType(name, 'a bigint', value)
  if (value < I64_MIN || value > I64_MAX) throw outOfRange(name, 'from -2^63 to 2^63 - 1', value)
  return value
}

/** Exactly `length` bytes. */
export function checkBytes(name: string, value: unknown, length: number): Uint8Array {
  const bytes = checkUint8Array(name, value)
  const held = lengthOf(bytes)
  if (held !== length) throw outOfRange(name, `${length} bytes long`, `${held} bytes`)
  return bytes
}

/** Bytes of this realm or another, as of a test that runs in a vm context. */
export function checkUint8Array(name: string, value: unknown): Uint8Array {
  if (!types.isUint8Array(value)) throw wrongType(name, 'a Uint8Array', value)
  return value
}

const { get: getByteLength } = Object.getOwnPropertyDescriptor(
  Object.getPrototypeOf(Uint8Array.prototype),
  'byteLength',
) as { get: () => number }

/** Its real length: a property of its own can say anything. */
function lengthOf(bytes: Uint8Array): number {
  return getByteLength.call(bytes)
}

/** Room for the words that a call of the kernel leaves: three for a sample. */
export function checkWords(into: unknown, length: number): BigUint64Array {
  if (!types.isBigUint64Array(into)) throw wrongType('into', 'a BigUint64Array', into)
  if (into.length !== length) {
    throw outOfRange('into', `${length} ${length === 1 ? 'element' : 'elements'} long`, into.length)
  }
  return into
}

/** An object with named fields: not an array, nor a Map, whose entries would be passed over. */
export function checkObject(name: string, value: unknown): object {
  if (typeof value !== 'object' || value === null || Symbol.iterator in value) {
    throw wrongType(name, 'an object', value)
  }
  return value
}

/**
 * The elements of an array, each read once; undefined for a hole.
 *
 * @param limit how long it may be: a sparse array takes no memory, and its copy does
 */
export function checkArray(name: string, of: string, value: unknown, limit: number): unknown[] {
  if (!Array.isArray(value)) throw wrongType(name, `an array of ${of}`, value)
  const { length } = value
  if (length > limit) throw outOfRange(name, `at most ${limit} long`, length)
  return [...(value as readonly unknown[])]
}

/** One of a few words. */
export function checkWord<W extends string>(name: string, value: unknown, words: readonly W[]): W {
  const found = words.find((word) => word === value)
  if (found === undefined) throw wrongValue(name, `one of ${quoted(words)}`, value)
  return found
}

function quoted(words: readonly string[]): string {
  return words.map((word) => `'${word}'`).join(', ')
}

/** A misspelt option is an error, not one that silently does nothing. */
export function checkOptionNames(name: string, value: object, known: readonly string[]): void {
  for (const key of Object.keys(value)) {
    if (known.includes(key)) continue
    const message = `${name} may have only ${quoted(known)}, not ${shown(key)}`
    throw withCode(new TypeError(message), 'ERR_INVALID_ARG_VALUE')
  }
}
