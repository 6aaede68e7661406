import { inspect, types } from 'node:util'

/**
 * The checks of arguments. The errors are those of Node's own functions: TypeError with
 * ERR_INVALID_ARG_TYPE or ERR_INVALID_ARG_VALUE, RangeError with ERR_OUT_OF_RANGE.
 *
 * Reading an argument's property can run the caller's code, if it is a getter or a proxy's. So each property
 * is read once, and the value that was checked is the one that is used. Everything is read before a call
 * takes a descriptor or uses shared memory, since the caller's code may close the descriptor or make a call
 * that uses the same memory.
 */

const I64_MIN = -(1n << 63n)
const I64_MAX = (1n << 63n) - 1n
const I32_MAX = 0x7fff_ffff

type ArgumentCode = 'ERR_INVALID_ARG_TYPE' | 'ERR_INVALID_ARG_VALUE' | 'ERR_OUT_OF_RANGE'

function withCode<E extends Error>(error: E, code: ArgumentCode): E & { code: ArgumentCode } {
  return Object.assign(error, { code })
}

/** A value as an error message shows it: short, however deep or long the value is. */
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

/**
 * The error for a value that is not an object of one of this library's classes. An object of another copy
 * of the package is named as that, because when it is printed it looks like the right one.
 */
export function wrongClass(
  name: string,
  expected: { readonly name: string; readonly prototype: object },
  value: unknown,
): TypeError {
  const prototype = prototypeOf(value)
  const isOther = prototype !== expected.prototype && prototype?.constructor?.name === expected.name
  if (!isOther) return wrongType(name, `a ${expected.name}`, value)
  return withCode(
    new TypeError(
      `${name} must be a ${expected.name} of this copy of kvm-ppc-onereg, but another copy of the package, ` +
        'which this process has loaded too, made it. `npm ls kvm-ppc-onereg` shows the copies',
    ),
    'ERR_INVALID_ARG_TYPE',
  )
}

function prototypeOf(value: unknown): { constructor?: { name?: unknown } } | null {
  if (typeof value !== 'object' || value === null || types.isProxy(value)) return null
  return Object.getPrototypeOf(value) as { constructor?: { name?: unknown } } | null
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

/** An integer from 0 to `max`, by default 2^31 - 1: a file descriptor, an id, a capability. */
export function checkInteger(name: string, value: unknown, max: number = I32_MAX): number {
  if (typeof value !== 'number') throw wrongType(name, 'a number', value)
  if (!Number.isInteger(value) || value < 0 || value > max) {
    throw outOfRange(name, `an integer from 0 to ${max}`, value)
  }
  return value
}

/**
 * Checks an integer from 1 on.
 *
 * @throws TypeError, RangeError
 */
export function checkFromOne(name: string, value: unknown, most: number): number {
  const number = checkInteger(name, value, most)
  if (number === 0) throw outOfRange(name, `from 1 to ${most}`, number)
  return number
}

/** An unsigned 64-bit value. */
export function checkU64(name: string, value: unknown): bigint {
  if (typeof value !== 'bigint') throw wrongType(name, 'a bigint', value)
  if (!isU64(value)) throw outOfRange(name, 'from 0 to 2^64 - 1', value)
  return value
}

/** Whether a value is an unsigned 64-bit one. There is one comparison, since V8 makes a call for each. */
export function isU64(value: unknown): boolean {
  return typeof value === 'bigint' && BigInt.asUintN(64, value) === value
}

/** The index of the first id that is equal to an earlier one, or -1. */
export function firstRepeated(ids: readonly number[]): number {
  // Nearly always true, and much faster than a set of a thousand ids.
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

/** Bytes, also those that were made in another realm, such as the vm context in which a test runs. */
export function checkUint8Array(name: string, value: unknown): Uint8Array {
  if (!types.isUint8Array(value)) throw wrongType(name, 'a Uint8Array', value)
  return value
}

const { get: getByteLength } = Object.getOwnPropertyDescriptor(
  Object.getPrototypeOf(Uint8Array.prototype),
  'byteLength',
) as { get: () => number }

/** The real length: an own property `byteLength` of the object could hold any number. */
function lengthOf(bytes: Uint8Array): number {
  return getByteLength.call(bytes)
}

/** The array into which a call of the kernel puts its words: three for a sample. */
export function checkWords(into: unknown, length: number): BigUint64Array {
  if (!types.isBigUint64Array(into)) throw wrongType('into', 'a BigUint64Array', into)
  if (into.length !== length) {
    throw outOfRange('into', `${length} ${length === 1 ? 'element' : 'elements'} long`, into.length)
  }
  return into
}

/** An object with named fields. An array or a Map is refused, since its entries would be ignored. */
export function checkObject(name: string, value: unknown): object {
  if (typeof value !== 'object' || value === null || Symbol.iterator in value) {
    throw wrongType(name, 'an object', value)
  }
  return value
}

/**
 * The elements of an array, each read once; undefined for a hole.
 *
 * @param limit how long it may be: a sparse array takes no memory, but its copy does
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

/** Refuses unknown options, so that a misspelt one is not silently ignored. */
export function checkOptionNames(name: string, value: object, known: readonly string[]): void {
  for (const key of Object.keys(value)) {
    if (known.includes(key)) continue
    const message = `${name} may have only ${quoted(known)}, not ${shown(key)}`
    throw withCode(new TypeError(message), 'ERR_INVALID_ARG_VALUE')
  }
}
