import { types } from 'node:util'
import type { Addon } from '../../../lib/kernel/addon.ts'

/** Whether a value has the wrong type for a parameter, is out of its range, or is right. */
export type Verdict = 'type' | 'range' | 'right'

/** Judges a value. The arguments before it are for the length that a register's id demands. */
type Rule = (value: unknown, before: readonly unknown[]) => Verdict

const integer: Rule = (value) => {
  if (typeof value !== 'number') return 'type'
  return right(Number.isInteger(value) && value >= 0 && value <= 2 ** 31 - 1)
}

const path: Rule = (value) => (typeof value === 'string' ? right(!value.includes('\0')) : 'type')

const registerId: Rule = (value) =>
  typeof value === 'bigint' ? right(value === BigInt.asUintN(64, value)) : 'type'

const registerBytes: Rule = (value, [, id]) => {
  if (!types.isUint8Array(value)) return 'type'
  return right(view(value).length === 2 ** Number(((id as bigint) >> 52n) & 15n))
}

const batch: Rule = (value) => {
  if (!types.isUint8Array(value) || !isShared(value)) return 'type'
  const { length, byteOffset } = view(value)
  return right(length % 32 === 8 && length <= 2 ** 25 + 8 && byteOffset % 8 === 0)
}

const boundWords: Rule = (value) => {
  if (!types.isBigUint64Array(value) || !isShared(value)) return 'type'
  return right(view(value).length === 4)
}

function right(is: boolean): Verdict {
  return is ? 'right' : 'range'
}

/** The parameters of every function of the addon. */
export const parameters: Readonly<Record<keyof Addon, readonly Rule[]>> = {
  open: [path],
  close: [integer],
  fileId: [integer],
  checkExtension: [integer, integer],
  createVm: [integer, integer],
  createVcpu: [integer, integer],
  getOneReg: [integer, registerId, registerBytes],
  setOneReg: [integer, registerId, registerBytes],
  bindBatch: [batch],
  getOneRegsAsync: [batch],
  setOneRegsAsync: [batch],
  bindCalls: [boundWords],
}

/** The expected outcome of a call with these arguments. */
export function verdict(name: keyof Addon, given: readonly unknown[]): Verdict {
  const rules = parameters[name]
  if (given.length !== rules.length) return 'type'
  for (const [index, rule] of rules.entries()) {
    const found = rule(given[index], given)
    if (found !== 'right') return found
  }
  return 'right'
}

// An array's own properties may lie, so the getters of the prototype are used.
const typedArray = Object.getPrototypeOf(Uint8Array.prototype) as object

function intrinsic(name: string): (array: object) => unknown {
  return (array) => Reflect.get(typedArray, name, array) as unknown
}

const lengthOf = intrinsic('length')
const byteOffsetOf = intrinsic('byteOffset')
const bufferOf = intrinsic('buffer')
const byteLengthOf = intrinsic('byteLength')

/** The memory of a small typed array. */
export function smallArray(value: unknown): Buffer | undefined {
  if (!types.isTypedArray(value)) return undefined
  const length = byteLengthOf(value) as number
  // Where there are none, the buffer may be gone too.
  if (length === 0 || length > 256) return undefined
  return Buffer.from(bufferOf(value) as ArrayBuffer, byteOffsetOf(value) as number, length)
}

function view(array: object): { length: number; byteOffset: number } {
  return { length: lengthOf(array) as number, byteOffset: byteOffsetOf(array) as number }
}

function isShared(array: object): boolean {
  return types.isSharedArrayBuffer(bufferOf(array))
}
