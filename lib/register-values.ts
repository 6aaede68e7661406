import { checkBytes, checkObject, checkU64, outOfRange, wrongType, wrongValue } from './checks.ts'
import { registerNames, registers } from './registers.ts'
import type { Register, RegisterName, RegisterValues, RegisterWidth } from './registers.ts'

/** A register's value: a number for 32 bits, a bigint for 64, and the bytes in memory order for 128. */
export type AnyRegisterValue = number | bigint | Uint8Array

/** The table of registers as a Map, which is faster to look up than an object with hundreds of names. */
const byName: ReadonlyMap<unknown, Register> = new Map(Object.entries(registers))

/** The id and width of a register; undefined for a name that the table lacks. */
export function findRegister(name: unknown): Register | undefined {
  return byName.get(name)
}

/**
 * The id and width of a register.
 *
 * @throws TypeError ERR_INVALID_ARG_VALUE for a name that is not in the table
 */
export function lookUp(name: unknown): Register {
  return byName.get(name) ?? unknownRegister(name)
}

function unknownRegister(name: unknown): never {
  if (typeof name !== 'string') throw wrongType('the register', "a name, as 'TB_OFFSET'", name)
  throw wrongValue('the register', `a name of the table${hintFor(name)}`, name)
}

/** Registers that are often looked for among ONE_REG's. */
const ofGetRegs = /^(PC|NIP|MSR|CR|LR|CTR|XER|SRR[01]|SPRG[0-7]|GPR\d+|R\d+)$/

/** What may have been meant by a name that the table lacks, for the error. */
export function hintFor(name: string): string {
  const spelt = name.toUpperCase().replace(/^KVM_REG_PPC_/, '')
  if (byName.has(spelt)) return `, as '${spelt}'`
  if (spelt === 'FORMAT') return ' (parseRegisters makes a snapshot of text; JSON.parse does not)'
  if (ofGetRegs.test(spelt)) return ' (this one is not of ONE_REG: KVM_GET_REGS reads it)'
  const longer = spelt === '' ? undefined : registerNames.find((known) => known.startsWith(spelt))
  return longer === undefined ? '' : `, as '${longer}'`
}

/**
 * Checks a value against a register's width.
 *
 * @param name the register's, for the error
 * @throws TypeError, RangeError
 */
export function checkWidth(name: string, value: unknown, width: RegisterWidth): AnyRegisterValue {
  switch (width) {
    case 64:
      return checkU64(name, value)
    case 32:
      return checkU32(name, value)
    case 128:
      return checkBytes(name, value, 16)
  }
}

/** Names of registers with their checked values. */
export type Entries = readonly (readonly [name: RegisterName, value: AnyRegisterValue])[]

/**
 * The properties of an object as names and values of registers, each read once and checked; 128 bits are copied.
 *
 * @param what the object's name, for the error
 * @throws TypeError, RangeError
 */
export function checkValues(what: string, values: RegisterValues): Entries {
  const given = checkObject(what, values) as Record<string, unknown>
  // Not with Object.entries, which takes some 2,000 instructions for each register of a snapshot.
  return Object.keys(given).map((name) => {
    const value = checkWidth(name, given[name], lookUp(name).width)
    return [name as RegisterName, typeof value === 'object' ? new Uint8Array(value) : value]
  })
}

/** Whether two values of a register are equal. */
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
