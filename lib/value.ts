import type { OneRegBatch } from './batch.ts'
import { checkBytes, checkU64, outOfRange, wrongType, wrongValue } from './checks.ts'
import { registers } from './registers.ts'
import type { Register, RegisterName } from './registers.ts'

/** What a register holds in JavaScript: 32 bits a number, 64 a bigint, 128 bytes in memory order. */
export type AnyRegisterValue = number | bigint | Uint8Array

/** @throws TypeError ERR_INVALID_ARG_VALUE for a name that the table lacks */
export function lookUp(name: unknown): Register {
  if (typeof name !== 'string') throw wrongType('the register', "a name, as 'TB_OFFSET'", name)
  if (!Object.hasOwn(registers, name)) {
    const spelt = name.replace(/^KVM_REG_PPC_/, '')
    const hint = spelt !== name && Object.hasOwn(registers, spelt) ? `, as '${spelt}'` : ''
    throw wrongValue('the register', `a name of the table${hint}`, name)
  }
  return registers[name as RegisterName]
}

/**
 * Checks a value against its register's type and range.
 *
 * @throws TypeError, RangeError
 */
export function checkValue(name: string, value: unknown): AnyRegisterValue {
  const { width } = lookUp(name)
  switch (width) {
    case 32:
      return checkU32(name, value)
    case 64:
      return checkU64(name, value)
    case 128:
      return checkBytes(name, value, 16)
  }
}

/** Puts a register's id and a value, once checked, into an entry of a batch. */
export function putValue(batch: OneRegBatch, index: number, name: string, value: unknown): void {
  const checked = checkValue(name, value)
  batch.ids[index] = lookUp(name).id
  if (typeof checked === 'number') batch.set32(index, checked)
  else if (typeof checked === 'bigint') batch.set64(index, checked)
  else batch.bytes(index, 16).set(checked)
}

/** The value of an entry of a batch; 128 bits as a copy. */
export function takeValue(
  batch: OneRegBatch,
  index: number,
  { width }: Register,
): AnyRegisterValue {
  switch (width) {
    case 32:
      return batch.get32(index)
    case 64:
      return batch.get64(index)
    case 128:
      return batch.bytes(index, 16).slice()
  }
}

/** Whether two values of one register are the same. */
export function sameValue(a: AnyRegisterValue, b: AnyRegisterValue): boolean {
  if (!(a instanceof Uint8Array) || !(b instanceof Uint8Array)) return a === b
  return a.length === b.length && a.every((byte, index) => byte === b[index])
}

function checkU32(name: string, value: unknown): number {
  if (typeof value !== 'number') throw wrongType(name, 'a number', value)
  if (!Number.isInteger(value) || value < 0 || value > 0xffff_ffff) {
    throw outOfRange(name, 'an integer from 0 to 2^32 - 1', value)
  }
  return value
}
