import { checkArray, checkInteger, checkObject, outOfRange, wrongType } from '../checks.ts'
import { stateFormat } from '../errors.ts'
import { registersFromJson, registersToJson } from '../kvm/register-text.ts'
import { checkValues } from '../register-values.ts'
import type { RegisterValues } from '../registers.ts'
import { formatFields, isObject, readText, refuseUnknown, withToJson } from '../state-text.ts'
import type { JsonObject, TextFormat } from '../state-text.ts'
import { checkTimebaseState, STATE_VCPU_LIMIT, timebaseFromJson, timebaseToJson } from './state.ts'
import type { TimebaseState } from './state.ts'
import { timeRegisters } from './timers.ts'

/**
 * The registers of one vCPU without the time registers, which are in the timebase of the guest.
 *
 * @group Moving the timebase
 */
export interface VcpuRegisters {
  /** The vCPU's id. */
  readonly id: number
  readonly registers: RegisterValues
}

/**
 * The registers of a guest that KVM_GET_ONE_REG reads, and its timebase: the result of {@link saveOneRegState}.
 * The program counter, MSR and general registers are not among them (KVM_GET_REGS), nor the segments
 * (KVM_GET_SREGS).
 *
 * @group Moving the timebase
 */
export interface OneRegState {
  readonly timebase: TimebaseState
  /** The registers of each vCPU, with the same ids as in `timebase.vcpus`. */
  readonly vcpus: readonly VcpuRegisters[]
}

/** Characters of a saved ONE_REG state: 64 Mi. A vCPU takes 11,000, and a guest has at most 2,048. */
export const ONE_REG_TEXT_LIMIT = 64 * 1024 * 1024

const FORMAT: TextFormat = {
  format: 'kvm-ppc-onereg/one-reg',
  what: 'saved ONE_REG state',
  version: 1,
  limit: ONE_REG_TEXT_LIMIT,
}

/**
 * A {@link OneRegState} as JSON text: `format`, `version`, `timebase` as {@link serializeTimebase} has it,
 * and the registers of each vCPU as {@link serializeRegisters} has them. `JSON.stringify` of a state from
 * {@link saveOneRegState} or {@link parseOneRegState} gives the same text.
 *
 * @param state the result of {@link saveOneRegState}
 * @throws TypeError, RangeError for a state with a wrong field
 * @example
 * ```ts
 * await writeFile('guest.json', serializeOneRegState(saveOneRegState(vcpus)))
 * ```
 * @group Moving the timebase
 */
export function serializeOneRegState(state: OneRegState): string {
  return JSON.stringify(oneRegStateToJson(state))
}

/** The object whose JSON {@link serializeOneRegState} gives. */
export function oneRegStateToJson(state: OneRegState): JsonObject {
  const { timebase, vcpus } = checkOneRegState(state)
  return {
    ...formatFields(FORMAT),
    timebase: timebaseToJson(timebase),
    vcpus: vcpus.map(({ id, registers }) => ({ id, registers: registersToJson(registers) })),
  }
}

/**
 * Reads a state that {@link serializeOneRegState} wrote. The text need not be trusted.
 *
 * @param text the result of {@link serializeOneRegState}
 * @throws OneRegError ERR_STATE_FORMAT for text that is not JSON, another format, a field or register that
 *   is missing, unknown, out of range or there twice; for more than 64 Mi characters
 * @throws OneRegError ERR_STATE_VERSION for a state of a newer release, whose version this one does not know
 * @example
 * ```ts
 * loadOneRegState(vcpus, parseOneRegState(await readFile('guest.json', 'utf8')))
 * ```
 * @group Moving the timebase
 */
export function parseOneRegState(text: string): OneRegState {
  const json = readText(text, FORMAT)
  refuseUnknown(json, ['format', 'version', 'timebase', 'vcpus'], '')
  const { vcpus } = json
  if (!Array.isArray(vcpus)) throw stateFormat('The field "vcpus" must be an array')
  const state = {
    timebase: timebaseFromJson(json['timebase'], 'timebase'),
    vcpus: vcpus.map((vcpu: unknown, index) => vcpuFromJson(vcpu, `vcpus[${index}]`)),
  }
  try {
    checkOneRegState(state)
  } catch (error) {
    throw stateFormat(`In this ${FORMAT.what}, ${(error as Error).message}`, error)
  }
  return withToJson(state, oneRegStateToJson)
}

function vcpuFromJson(value: unknown, path: string): VcpuRegisters {
  if (!isObject(value)) throw stateFormat(`${path} must be an object`)
  refuseUnknown(value, ['id', 'registers'], `${path}.`)
  return {
    id: value['id'] as number,
    registers: registersFromJson(value['registers'], `${path}.registers`),
  }
}

/**
 * Checks and copies a caller's state.
 *
 * @throws TypeError, RangeError
 */
export function checkOneRegState(value: unknown): OneRegState {
  const { timebase, vcpus: list } = checkObject('state', value) as OneRegState
  if (isObject(timebase) && typeof (timebase as JsonObject)['guestTimebase'] === 'string') {
    throw wrongType('state', 'as parseOneRegState makes it of text, and JSON.parse does not', value)
  }
  const checked = checkTimebaseState(timebase)
  const wanted = new Set(checked.vcpus.map(({ id }) => id))
  const given = checkArray('state.vcpus', 'registers', list, STATE_VCPU_LIMIT)
  const vcpus = given.map((vcpu, index) => checkVcpu(vcpu, `state.vcpus[${index}]`, wanted))
  const [missing] = wanted
  if (missing !== undefined) {
    throw outOfRange('state.vcpus', 'those of state.timebase', `without vCPU ${missing}`)
  }
  return { timebase, vcpus }
}

/** @param wanted the ids that have not come yet; the id of this vCPU is removed from it */
function checkVcpu(value: unknown, name: string, wanted: Set<number>): VcpuRegisters {
  const { id: given, registers: values } = checkObject(name, value) as VcpuRegisters
  const id = checkInteger(`${name}.id`, given)
  if (!wanted.delete(id)) throw outOfRange(`${name}.id`, 'one of state.timebase, and unique', id)
  const entries = checkValues(`${name}.registers`, values)
  const registers = Object.fromEntries(entries) as RegisterValues
  for (const { name: timer } of timeRegisters) {
    if (!(timer in registers)) continue
    throw outOfRange(`${name}.registers`, `without ${timer}, which is in state.timebase`, timer)
  }
  return { id, registers }
}
