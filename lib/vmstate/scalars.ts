import { checkI64, checkInteger, checkU64, outOfRange, wrongType } from '../checks.ts'

export interface IntegerKind {
  readonly kind: 'integer'
  readonly bits: 8 | 16 | 32 | 64
  readonly signed: boolean
}

export interface BoolKind {
  readonly kind: 'bool'
}

export type ScalarKind = IntegerKind | BoolKind

export type Scalar = number | bigint | boolean

/**
 * Checks a value that is to be written or compared with. Its name is a function, since putting a path
 * together costs time and only an error needs it.
 *
 * @throws TypeError, RangeError
 */
export function checkScalar(nameOf: () => string, value: unknown, of: ScalarKind): Scalar {
  if (of.kind === 'bool') {
    if (typeof value === 'boolean') return value
    throw wrongType(nameOf(), 'a boolean', value)
  }
  return fits(value, of) ? value : refuse(nameOf(), value, of)
}

function fits(value: unknown, { bits, signed }: IntegerKind): value is number | bigint {
  if (bits === 64) {
    return (
      typeof value === 'bigint' &&
      (signed ? BigInt.asIntN(64, value) : BigInt.asUintN(64, value)) === value
    )
  }
  const end = 2 ** (signed ? bits - 1 : bits)
  return Number.isInteger(value) && Number(value) >= (signed ? -end : 0) && Number(value) < end
}

function refuse(name: string, value: unknown, { bits, signed }: IntegerKind): Scalar {
  if (bits === 64) return signed ? checkI64(name, value) : checkU64(name, value)
  if (!signed) return checkInteger(name, value, 2 ** bits - 1)
  if (typeof value !== 'number') throw wrongType(name, 'a number', value)
  const end = 2 ** (bits - 1)
  throw outOfRange(name, `an integer from ${-end} to ${end - 1}`, value)
}
