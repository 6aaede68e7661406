import { isU64, shown } from '../checks.ts'
import { stateFormat } from '../errors.ts'
import type { RegisterName, RegisterValues } from '../registers.ts'
import { checkValues, findRegister } from '../register-values.ts'
import type { AnyRegisterValue } from '../register-values.ts'
import {
  bigintOf,
  formatFields,
  isObject,
  readText,
  refuseUnknown,
  withToJson,
} from '../state-text.ts'
import type { JsonObject, TextFormat } from '../state-text.ts'

/** Characters of a snapshot: 1 Mi. One of all registers of a POWER10 vCPU takes 11,000. */
export const REGISTERS_TEXT_LIMIT = 1024 * 1024

const FORMAT: TextFormat = {
  format: 'kvm-ppc-onereg/registers',
  what: 'register snapshot',
  version: 1,
  limit: REGISTERS_TEXT_LIMIT,
}

/**
 * Converts a snapshot to JSON text: `format`, `version`, and `registers` by name. A register of 32 bits is a
 * number, one of 64 bits a string of decimal digits, one of 128 bits a string of 32 hexadecimal digits in the
 * order of a little-endian host's memory. `JSON.stringify(snapshot)` gives the same text.
 *
 *     const text = serializeRegisters(vcpu.snapshot())
 *
 * @param values the result of {@link Vcpu.snapshot}, or some registers and their values
 * @throws TypeError, RangeError for a wrong name or value
 * @example
 * ```ts
 * await writeFile('vcpu0.json', serializeRegisters(vcpu.snapshot()))
 * ```
 * @group Registers
 */
export function serializeRegisters(values: RegisterValues): string {
  return JSON.stringify(snapshotToJson(values))
}

/** The object whose JSON {@link serializeRegisters} gives. */
export function snapshotToJson(values: RegisterValues): JsonObject {
  return { ...formatFields(FORMAT), registers: registersToJson(values) }
}

/**
 * Reads a snapshot that {@link serializeRegisters} wrote. The text need not be trusted.
 *
 * @param text the result of {@link serializeRegisters}
 * @returns a snapshot for {@link Vcpu.restore}
 * @throws OneRegError ERR_STATE_FORMAT for text that is not JSON, another format, a register that is
 *   unknown, out of range or there twice; for more than 1 Mi characters
 * @throws OneRegError ERR_STATE_VERSION for a snapshot of a newer release, whose version this one does not know
 * @example
 * ```ts
 * vcpu.restore(parseRegisters(await readFile('vcpu0.json', 'utf8')))
 * ```
 * @group Registers
 */
export function parseRegisters(text: string): RegisterValues {
  const json = readText(text, FORMAT)
  refuseUnknown(json, ['format', 'version', 'registers'], '')
  return withToJson(registersFromJson(json['registers'], 'registers'), snapshotToJson)
}

/** Registers by name, with values that JSON has. */
export function registersToJson(values: RegisterValues): JsonObject {
  const entries = checkValues('values', values)
  return Object.fromEntries(entries.map(([name, value]) => [name, valueToJson(value)]))
}

function valueToJson(value: AnyRegisterValue): unknown {
  if (typeof value === 'number') return value
  return typeof value === 'bigint' ? value.toString() : Buffer.from(value).toString('hex')
}

/**
 * The registers of a JSON object.
 *
 * @param path the path of the object
 * @throws OneRegError ERR_STATE_FORMAT
 */
export function registersFromJson(json: unknown, path: string): RegisterValues {
  if (!isObject(json)) throw stateFormat(`The field "${path}" must be an object`)
  const entries = Object.entries(json).map(([name, value]) => [
    name,
    valueFromJson(name as RegisterName, value, `${path}.${name}`),
  ])
  return Object.fromEntries(entries) as RegisterValues
}

function valueFromJson(name: RegisterName, value: unknown, path: string): AnyRegisterValue {
  const width = findRegister(name)?.width
  switch (width) {
    case undefined:
      throw stateFormat(`The register ${shown(path)} is not known`)
    case 32:
      if (typeof value === 'number' && value === value >>> 0) return value
      throw stateFormat(`The field "${path}" must be a whole number from 0 to 2^32 - 1`)
    case 64: {
      const held = bigintOf(value, path)
      if (isU64(held)) return held
      throw stateFormat(`The field "${path}" must be from 0 to 2^64 - 1`)
    }
    case 128:
      if (typeof value === 'string' && /^[0-9a-f]{32}$/.test(value)) {
        return new Uint8Array(Buffer.from(value, 'hex'))
      }
      throw stateFormat(`The field "${path}" must be 32 hexadecimal digits in a string`)
  }
}
