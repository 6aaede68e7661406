import { checkObject, checkOptionNames, wrongType, wrongValue } from '../checks.ts'
import { OneRegNotLoadedError, TimebaseNotAppliedError } from '../errors.ts'
import type { NotWritten } from '../errors.ts'
import { checkAsyncOptions } from '../kvm/async-options.ts'
import type { AsyncOptions } from '../kvm/async-options.ts'
import type { ChangedRegister } from '../kvm/restore.ts'
import type { Vcpu } from '../kvm/vcpu.ts'
import type { RegisterValues } from '../registers.ts'
import { withToJson } from '../state-text.ts'
import { guestOf } from './guest.ts'
import type { Guest } from './guest.ts'
import { alignOptionNames, checkAlign, checkLoadable, loadTimebase } from './load.ts'
import type { AlignOptions, MaybeAligned } from './load.ts'
import { checkOneRegState, oneRegStateToJson } from './one-reg-state.ts'
import type { OneRegState, VcpuRegisters } from './one-reg-state.ts'
import type { LoadOutcome } from './outcomes.ts'
import { planOptionNames } from './plan.ts'
import type { PlanOptions } from './plan.ts'
import { saveTimebase, saveTimebaseAsync } from './save.ts'
import type { TimebaseState } from './state.ts'
import { timeRegisters } from './timers.ts'

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
  const guest = guestOf(vcpus)
  const registers = guest.vcpus.map((vcpu) => registersOf(vcpu, vcpu.snapshot()))
  return stateOf(saveTimebase(guest.vcpus), registers)
}

/**
 * {@link saveOneRegState} for vCPUs of which one may still run: it waits for one after the other on a thread of
 * its own, and saves the timebase when all could be read. It does not stop them: a vCPU that is started again
 * before the promise resolves makes the state wrong.
 *
 * @param vcpus all vCPUs of the guest
 * @param options a signal that ends the waiting
 * @throws as {@link saveOneRegState}, by rejecting; AbortError
 * @example
 * ```ts
 * const state = await saveOneRegStateAsync(vcpus, { signal: AbortSignal.timeout(1000) })
 * ```
 * @group Moving the timebase
 */
export async function saveOneRegStateAsync(
  vcpus: readonly Vcpu[],
  options: AsyncOptions = {},
): Promise<OneRegState> {
  checkAsyncOptions(options)
  const guest = guestOf(vcpus)
  const registers: VcpuRegisters[] = []
  // One after the other: all must be stopped before the save ends, and each call takes a thread.
  for (const vcpu of guest.vcpus) {
    registers.push(registersOf(vcpu, await vcpu.snapshotAsync(options)))
  }
  return stateOf(await saveTimebaseAsync(guest.vcpus, options), registers)
}

function stateOf(timebase: TimebaseState, vcpus: readonly VcpuRegisters[]): OneRegState {
  return withToJson({ timebase, vcpus }, oneRegStateToJson)
}

/** The registers of a snapshot without the time registers. */
function registersOf({ id }: Vcpu, snapshot: RegisterValues): VcpuRegisters {
  const values = new Map<string, unknown>(Object.entries(snapshot))
  for (const { name } of timeRegisters) values.delete(name)
  return { id, registers: Object.fromEntries(values) }
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
 * @param options those of {@link loadTimebase}, and whether to read registers back
 * @returns with `align` a promise, which rejects with the errors below
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
  options: LoadOneRegOptions & AlignOptions,
): Promise<OneRegOutcome>
export function loadOneRegState(
  vcpus: readonly Vcpu[],
  state: OneRegState,
  options?: LoadOneRegOptions,
): OneRegOutcome
export function loadOneRegState(
  vcpus: readonly Vcpu[],
  state: OneRegState,
  options: LoadOneRegOptions & MaybeAligned = {},
): OneRegOutcome | Promise<OneRegOutcome> {
  const names = [...planOptionNames, ...alignOptionNames, 'verify']
  checkOptionNames('options', checkObject('options', options), names)
  const { align: wanted, onWritten: callback, verify = false, ...planOptions } = options
  const { align, onWritten } = checkAlign({ align: wanted, onWritten: callback })
  if (typeof verify !== 'boolean') throw wrongType('options.verify', 'a boolean', verify)
  if (align) return loadAligned(vcpus, state, planOptions, verify, onWritten)
  const load = checkLoad(vcpus, state, planOptions)
  return inPart(load, () => {
    const outcomes = restoreAll(load, verify)
    return { timebase: loadTimebase(load.guest.vcpus, load.timebase, planOptions), vcpus: outcomes }
  })
}

/** The arguments of {@link loadOneRegState}, of which it is known that they can be loaded. */
interface CheckedLoad {
  readonly guest: Guest
  readonly timebase: TimebaseState
  readonly registers: ReadonlyMap<number, RegisterValues>
  /** The ids of the vCPUs that have been written to. */
  readonly written: number[]
}

function checkLoad(vcpus: readonly Vcpu[], state: OneRegState, options: PlanOptions): CheckedLoad {
  const { timebase, vcpus: saved } = checkOneRegState(state)
  const guest = checkLoadable(vcpus, timebase, options)
  const registers = new Map(saved.map(({ id, registers }) => [id, registers]))
  return { guest, timebase, registers, written: [] }
}

async function loadAligned(
  vcpus: readonly Vcpu[],
  state: OneRegState,
  options: PlanOptions,
  verify: boolean,
  onWritten: AlignOptions['onWritten'],
): Promise<OneRegOutcome> {
  const { downtime } = options
  if (downtime !== 'freeze') throw wrongValue('options.downtime', "'freeze' with align", downtime)
  const load = checkLoad(vcpus, state, options)
  const loading = inPart(load, () => {
    const outcomes = restoreAll(load, verify)
    const aligned = { ...options, downtime, align: true, ...(onWritten && { onWritten }) } as const
    return { timebase: loadTimebase(load.guest.vcpus, load.timebase, aligned), vcpus: outcomes }
  })
  try {
    return { ...loading, timebase: await loading.timebase }
  } catch (error) {
    throw notLoaded(load, error)
  }
}

function restoreAll(
  { guest, registers, written }: CheckedLoad,
  verify: boolean,
): OneRegOutcome['vcpus'] {
  return guest.vcpus.flatMap((vcpu) => {
    const values = registers.get(vcpu.id)
    if (values === undefined) return []
    written.push(vcpu.id)
    return [{ id: vcpu.id, ...vcpu.restore(values, { verify }) }]
  })
}

/** Makes an error of the step one that names the vCPUs which hold some of the saved values and not all. */
function inPart<T>(load: CheckedLoad, step: () => T): T {
  try {
    return step()
  } catch (error) {
    throw notLoaded(load, error)
  }
}

function notLoaded({ written }: CheckedLoad, error: unknown): unknown {
  if (!(error instanceof Error)) return error
  const more = error instanceof TimebaseNotAppliedError ? error.unfit : []
  return new OneRegNotLoadedError([...new Set([...written, ...more])], error)
}
