import {
  checkArray,
  checkInteger,
  checkObject,
  checkOptionNames,
  outOfRange,
  wrongType,
} from '../checks.ts'
import { OneRegNotLoadedError, stateFormat, TimebaseNotAppliedError } from '../errors.ts'
import type { NotWritten } from '../errors.ts'
import { registersFromJson, registersToJson } from '../kvm/register-text.ts'
import type { ChangedRegister } from '../kvm/snapshot.ts'
import type { Vcpu } from '../kvm/vcpu.ts'
import { checkValues } from '../register-values.ts'
import type { RegisterValues } from '../registers.ts'
import { formatFields, isObject, readText, refuseUnknown } from '../state-text.ts'
import type { JsonObject, TextFormat } from '../state-text.ts'
import { guestOf } from './guest.ts'
import { checkLoadable, loadTimebase } from './load.ts'
import { saveTimebase } from './save.ts'
import type { LoadOutcome } from './outcomes.ts'
import { planOptionNames } from './plan.ts'
import type { PlanOptions } from './plan.ts'
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

/**
 * The options of {@link loadOneRegState}.
 *
 * @group Moving the timebase
 */
export interface LoadOneRegOptions extends PlanOptions {
  /** Whether to read all registers back and list those that hold another value: see {@link RestoreOptions}. */
  readonly verify?: boolean
}

/**
 * The result of {@link loadOneRegState}.
 *
 * @group Moving the timebase
 */
export interface OneRegOutcome {
  readonly timebase: LoadOutcome
  /** The registers that the kernel refused to set, and with `verify` those that hold another value. */
  readonly vcpus: readonly {
    readonly id: number
    readonly refused: readonly NotWritten[]
    readonly changed?: readonly ChangedRegister[]
  }[]
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
 * Reads all registers of a guest that KVM_GET_ONE_REG reads, and its timebase. The vCPUs must be stopped. The
 * registers are read first and the clocks last, so that no time is lost.
 *
 * The caller has to save the rest of the guest: pc, msr and the general registers (KVM_GET_REGS), the segments
 * (KVM_GET_SREGS), memory and devices.
 *
 *     const text = serializeOneRegState(saveOneRegState(vcpus))
 *
 * @param vcpus all vCPUs of the guest
 * @throws as {@link saveTimebase} and {@link Vcpu.snapshot}
 * @example
 * ```ts
 * const text = serializeOneRegState(saveOneRegState(vcpus)) // with the vCPUs stopped
 * ```
 * @group Moving the timebase
 */
export function saveOneRegState(vcpus: readonly Vcpu[]): OneRegState {
  const registers = guestOf(vcpus).vcpus.map((vcpu) => ({
    id: vcpu.id,
    registers: withoutTimeRegisters(vcpu.snapshot()),
  }))
  const state = { timebase: saveTimebase(vcpus), vcpus: registers }
  return Object.defineProperty(state, 'toJSON', { value: () => oneRegStateToJson(state) })
}

function withoutTimeRegisters(snapshot: RegisterValues): RegisterValues {
  const values = new Map<string, unknown>(Object.entries(snapshot))
  for (const { name } of timeRegisters) values.delete(name)
  return Object.fromEntries(values)
}

/**
 * Writes the registers of a saved guest on this host, and continues its timebase: the registers of every vCPU
 * first and the timebase last. The vCPUs must not run yet.
 *
 * Before the first register is written, it is checked that the timebase can be loaded; an error of that check
 * leaves the vCPUs as they are. A later error says in `unfit` which vCPUs must not run.
 *
 *     loadOneRegState(vcpus, parseOneRegState(text), { maxDowntimeNs: 10_000_000_000n })
 *
 * @param vcpus all vCPUs of the guest, with the ids that they had when it was saved
 * @param state the saved state, from {@link saveOneRegState} or {@link parseOneRegState}
 * @param options those of {@link loadTimebase} except `align`, and whether to read registers back
 * @throws TypeError, RangeError for a state or an option of the wrong type or range
 * @throws as {@link loadTimebase}, before the first register is written
 * @throws OneRegNotLoadedError if a register or the timebase could not be written after that
 * @example
 * ```ts
 * const { vcpus } = loadOneRegState(moved, parseOneRegState(text), { verify: true })
 * ```
 * @group Moving the timebase
 */
export function loadOneRegState(
  vcpus: readonly Vcpu[],
  state: OneRegState,
  options: LoadOneRegOptions = {},
): OneRegOutcome {
  checkOptionNames('options', checkObject('options', options), [...planOptionNames, 'verify'])
  const { verify = false, ...planOptions } = options
  const checked = checkOneRegState(state)
  const guest = checkLoadable(vcpus, checked.timebase, planOptions)
  const registersOf = new Map(checked.vcpus.map(({ id, registers }) => [id, registers]))
  const unfit: number[] = []
  try {
    const outcomes = guest.vcpus.flatMap((vcpu) => {
      const registers = registersOf.get(vcpu.id)
      if (registers === undefined) return []
      unfit.push(vcpu.id)
      return [{ id: vcpu.id, ...vcpu.restore(registers, { verify }) }]
    })
    return { timebase: loadTimebase(guest.vcpus, checked.timebase, planOptions), vcpus: outcomes }
  } catch (error) {
    if (!(error instanceof Error)) throw error
    const more = error instanceof TimebaseNotAppliedError ? error.unfit : []
    throw new OneRegNotLoadedError([...new Set([...unfit, ...more])], error)
  }
}

/**
 * A {@link OneRegState} as JSON text: `format`, `version`, `timebase` as {@link serializeTimebase} has it,
 * and the registers of each vCPU as {@link serializeRegisters} has them. `JSON.stringify` of a state from
 * {@link saveOneRegState} gives the same text.
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

function oneRegStateToJson(state: OneRegState): JsonObject {
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
  return state
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
function checkOneRegState(value: unknown): OneRegState {
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
