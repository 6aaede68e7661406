import type { OneRegBatch } from './kernel/batch.ts'
import { checkBytes, checkObject, checkU64, outOfRange, wrongType, wrongValue } from './checks.ts'
import { registers } from './registers.ts'
import type { Register, RegisterName, RegisterValue, RegisterValues } from './registers.ts'

/** What a register holds in JavaScript: 32 bits a number, 64 a bigint, 128 bytes in memory order. */
export type AnyRegisterValue = number | bigint | Uint8Array

type Width = Register['width']

/** The table once more: a Map is looked up faster than an object of hundreds of names. */
const byName: ReadonlyMap<unknown, Register> = new Map(Object.entries(registers))

/** @throws TypeError ERR_INVALID_ARG_VALUE for a name that the table lacks */
export function lookUp(name: unknown): Register {
  return byName.get(name) ?? unknownRegister(name)
}

function unknownRegister(name: unknown): never {
  if (typeof name !== 'string') throw wrongType('the register', "a name, as 'TB_OFFSET'", name)
  const spelt = name.replace(/^KVM_REG_PPC_/, '')
  const hint = spelt !== name && byName.has(spelt) ? `, as '${spelt}'` : ''
  throw wrongValue('the register', `a name of the table${hint}`, name)
}

/**
 * Checks a value against its register's type and range.
 *
 * @throws TypeError, RangeError
 */
export function checkValue(name: string, value: unknown): AnyRegisterValue {
  return checkWidth(name, value, lookUp(name).width)
}

function checkWidth(name: string, value: unknown, width: Width): AnyRegisterValue {
  switch (width) {
    case 64:
      return checkU64(name, value)
    case 32:
      return checkU32(name, value)
    case 128:
      return new Uint8Array(checkBytes(name, value, 16))
  }
}

/** Registers by name, and values that fit them. */
export type Entries = readonly (readonly [name: RegisterName, value: AnyRegisterValue])[]

/**
 * The names and values of an object, read once and checked.
 *
 * @throws TypeError, RangeError
 */
export function checkValues(what: string, values: RegisterValues): Entries {
  return Object.entries(checkObject(what, values) as Record<string, unknown>).map(
    ([name, value]) => [name as RegisterName, checkValue(name, value)],
  )
}

export function namesOf(entries: Entries): RegisterName[] {
  return entries.map(([name]) => name)
}

/** Puts the ids of registers into the entries of a batch. */
export function putNames(batch: OneRegBatch, names: readonly RegisterName[]): void {
  names.forEach((name, index) => {
    batch.ids[index] = lookUp(name).id
  })
}

/** Puts the ids and the values of registers into the entries of a batch. */
export function putEntries(batch: OneRegBatch, entries: Entries): void {
  entries.forEach(([name, value], index) => {
    putValue(batch, index, name, value)
  })
}

/** Puts a register's id and a value, once checked, into an entry of a batch. */
export function putValue(batch: OneRegBatch, index: number, name: string, value: unknown): void {
  const { id, width } = lookUp(name)
  putChecked(batch, index, name, value, width)
  batch.ids[index] = id
}

/**
 * Puts a value, once checked, into an entry of a batch that has the register's id.
 *
 * @throws TypeError, RangeError
 */
export function putChecked(
  batch: OneRegBatch,
  index: number,
  name: string,
  value: unknown,
  width: Width,
): void {
  const checked = checkWidth(name, value, width)
  if (typeof checked === 'bigint') batch.set64(index, checked)
  else if (typeof checked === 'number') batch.set32(index, checked)
  else batch.bytes(index, 16).set(checked)
}

/** The value of an entry of a batch; 128 bits as a copy. */
export function takeValue(batch: OneRegBatch, index: number, width: Width): AnyRegisterValue {
  switch (width) {
    case 64:
      return batch.get64(index)
    case 32:
      return batch.get32(index)
    case 128:
      return batch.bytes(index, 16).slice()
  }
}

/** The values of the entries of a batch, by name. */
export function takeValues<N extends RegisterName>(
  batch: OneRegBatch,
  names: readonly N[],
): { [K in N]: RegisterValue<K> } {
  return Object.fromEntries(
    names.map((name, index) => [name, takeValue(batch, index, lookUp(name).width)]),
  ) as { [K in N]: RegisterValue<K> }
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
