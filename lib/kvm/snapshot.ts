import { OneRegBatch } from '../kernel/batch.ts'
import { checkObject, checkOptionNames, wrongType } from '../checks.ts'
import { expiryToWrite } from './decrementer.ts'
import { KvmError, RestoreIncompleteError } from '../errors.ts'
import type { NotWritten } from '../errors.ts'
import { errnoName, errnos, meansAbsent } from '../errno.ts'
import { putKnown, putNames, takeValue } from './entries.ts'
import { callBatch, callBatchAsync } from './one-reg.ts'
import type { OpenVcpu } from './open-vcpu.ts'
import { snapshotToJson } from './register-text.ts'
import type { OneRegOperation } from '../kernel/kernel.ts'
import type { RegisterName, RegisterValue, RegisterValues } from '../registers.ts'
import { checkValues, lookUp, sameValue } from '../register-values.ts'
import type { AnyRegisterValue } from '../register-values.ts'
import { withToJson } from '../state-text.ts'

/**
 * The options of {@link Vcpu.restore}.
 *
 * @group Registers
 */
export interface RestoreOptions {
  /** Whether to write TB_OFFSET too, which is right only for a vCPU that stays on its host. */
  readonly timebase?: boolean
  /** Whether to read all registers back and list those that hold another value: see `changed`. */
  readonly verify?: boolean
}

/**
 * The result of {@link Vcpu.restore}.
 *
 * @group Registers
 */
export interface RestoreOutcome {
  /** The registers that the kernel refused to set, with its reason, unless they hold the wanted value already. */
  readonly refused: readonly NotWritten[]
  /**
   * With `verify`: the registers that were written and hold another value. docs/registers.md says which
   * differences do no harm.
   */
  readonly changed?: readonly ChangedRegister[]
}

/**
 * A register that was written without an error, and holds another value.
 *
 * @group Registers
 */
export interface ChangedRegister {
  readonly register: RegisterName
  readonly wanted: RegisterValue<RegisterName>
  readonly held: RegisterValue<RegisterName>
}

/** One call for a batch. A snapshot and a restore are made of such steps, so that they can run off the thread too. */
interface Step {
  readonly operation: OneRegOperation
  readonly batch: OneRegBatch
}

type Steps<T> = Generator<Step, T, undefined>

/** Makes the calls of a snapshot or a restore on this thread. */
export function runSteps<T>(vcpu: OpenVcpu, steps: Steps<T>): T {
  for (;;) {
    const next = steps.next()
    if (next.done) return next.value
    const { operation, batch } = next.value
    batch.fds.fill(vcpu.fd)
    callBatch(vcpu.system.kernel, operation, batch)
  }
}

/** {@link runSteps} off the JavaScript thread, each step in the queue of the vCPU. */
export async function runStepsAsync<T>(
  vcpu: OpenVcpu,
  steps: Steps<T>,
  signal: AbortSignal | undefined,
): Promise<T> {
  for (;;) {
    const next = steps.next()
    if (next.done) return next.value
    const { operation, batch } = next.value
    const result = await vcpu.descriptor.calls.add(() => {
      batch.fds.fill(vcpu.fd)
      return callBatchAsync(vcpu.system.kernel, operation, batch)
    }, signal)
    if (result < 0) throw new KvmError(result, { operation: 'pthread_create', vcpu: vcpu.id })
  }
}

/** {@link Vcpu.snapshot}. */
export function* readSnapshot(vcpu: OpenVcpu): Steps<RegisterValues> {
  const { names } = vcpu.present
  const snapshot: Partial<Record<RegisterName, AnyRegisterValue>> = {}
  const absent: RegisterName[] = []
  const batch = new OneRegBatch(names.length)
  putNames(batch, names)
  yield { operation: 'KVM_GET_ONE_REG', batch }
  let held = 0
  names.forEach((name, index) => {
    const result = batch.results[index] ?? 0
    if (result >= 0) {
      snapshot[name] = takeValue(batch, index, lookUp(name).width)
      held++
    } else if (!meansAbsent(result)) throw failed(vcpu, 'KVM_GET_ONE_REG', name, result)
    // Other codes may mean a device that the VM can get later: without one ICP_STATE gives ENXIO.
    else if (result === -errnos.EINVAL) absent.push(name)
  })
  const [first] = names
  // A vCPU has some registers, so the descriptor is that of another file, such as /dev/kvm.
  if (first !== undefined && held === 0) {
    throw failed(vcpu, 'KVM_GET_ONE_REG', first, batch.results[0] ?? 0)
  }
  if (absent.length > 0) vcpu.present.names = names.filter((name) => !absent.includes(name))
  return withToJson(snapshot as RegisterValues, snapshotToJson)
}

/** {@link Vcpu.restore}. */
export function* writeSnapshot(
  vcpu: OpenVcpu,
  snapshot: RegisterValues,
  options: RestoreOptions,
): Steps<RestoreOutcome> {
  const values = new Map(checkValues('snapshot', snapshot))
  checkOptionNames('options', checkObject('options', options), ['timebase', 'verify'])
  const { timebase = false, verify = false } = options
  if (typeof timebase !== 'boolean') throw wrongType('options.timebase', 'a boolean', timebase)
  if (typeof verify !== 'boolean') throw wrongType('options.verify', 'a boolean', verify)
  if (timebase) dueTimersFireAtOnce(vcpu, values)
  else values.delete('TB_OFFSET')
  const names = inOrder(values)
  const batch = new OneRegBatch(names.length)
  putNames(batch, names)
  names.forEach((name, index) => {
    putKnown(batch, index, values.get(name) ?? 0)
  })
  yield { operation: 'KVM_SET_ONE_REG', batch }

  const notWritten: { name: RegisterName; result: number }[] = []
  names.forEach((name, index) => {
    const result = batch.results[index] ?? 0
    if (result < 0) notWritten.push({ name, result })
  })
  const wentWrong = notWritten.filter(({ result }) => !meansAbsent(result))
  const refused = yield* thatDiffer(
    notWritten.filter(({ result }) => meansAbsent(result)),
    values,
  )
  const [first] = wentWrong
  if (first === undefined) {
    if (!verify) return { refused }
    const written = names.filter((_, index) => batch.results[index] === 0)
    return { refused, changed: yield* thatChanged(vcpu, written, values) }
  }
  throw new RestoreIncompleteError({
    vcpu: vcpu.id,
    failed: wentWrong.map(({ name, result }) => ({ register: name, code: errnoName(result) })),
    refused,
    of: names.length,
    cause: failed(vcpu, 'KVM_SET_ONE_REG', first.name, first.result),
  })
}

/**
 * Replaces a DEC_EXPIRY that has passed by the guest's timebase of now: see {@link expiryToWrite}. It does so
 * only if the snapshot has the offset, since without it the guest's timebase is not known yet.
 */
function dueTimersFireAtOnce(vcpu: OpenVcpu, values: Map<RegisterName, AnyRegisterValue>): void {
  const offset = values.get('TB_OFFSET')
  const decExpiry = values.get('DEC_EXPIRY')
  if (typeof offset !== 'bigint' || typeof decExpiry !== 'bigint') return
  const timebase = vcpu.system.kernel.timebase()
  // An error on a processor without mftb, on which the guest's timebase is not known.
  if (timebase < 0n) return
  values.set('DEC_EXPIRY', expiryToWrite(decExpiry, BigInt.asUintN(64, timebase + offset)))
}

/** The refused registers that do not hold the wanted value already. */
function* thatDiffer(
  refused: readonly { name: RegisterName; result: number }[],
  wanted: ReadonlyMap<RegisterName, AnyRegisterValue>,
): Steps<RestoreOutcome['refused']> {
  if (refused.length === 0) return []
  const held = yield* readAll(refused.map(({ name }) => name))
  return refused.flatMap(({ name, result }, index) => {
    const now = held[index]
    const want = wanted.get(name)
    const same =
      now !== undefined && now.result >= 0 && want !== undefined && sameValue(now.value, want)
    return same ? [] : [{ register: name, code: errnoName(result) }]
  })
}

/** The written registers that hold another value. */
function* thatChanged(
  vcpu: OpenVcpu,
  written: readonly RegisterName[],
  values: ReadonlyMap<RegisterName, AnyRegisterValue>,
): Steps<readonly ChangedRegister[]> {
  const changed: ChangedRegister[] = []
  for (const { name, result, value } of yield* readAll(written)) {
    if (result < 0) throw failed(vcpu, 'KVM_GET_ONE_REG', name, result)
    const wanted = values.get(name)
    if (wanted === undefined || sameValue(value, wanted)) continue
    changed.push({ register: name, wanted, held: value })
  }
  return changed
}

/**
 * The order in which registers are written. ARCH_COMPAT and LPCR come first, since they change the meaning of
 * others. DEC_EXPIRY follows TB_OFFSET, because kernels before 5.17 keep it relative to that. The SLB shadow
 * and the dispatch log need the VPA: the kernel refuses to set them without it, and to clear it before them.
 */
function inOrder(values: ReadonlyMap<RegisterName, AnyRegisterValue>): RegisterName[] {
  const vpa: RegisterName[] = ['VPA_ADDR', 'VPA_SLB', 'VPA_DTL']
  if (values.get('VPA_ADDR') === 0n) vpa.reverse()
  const first: RegisterName[] = [
    'ARCH_COMPAT',
    'LPCR',
    'LPCR_64',
    'TB_OFFSET',
    'DEC_EXPIRY',
    ...vpa,
  ]
  const rest = [...values.keys()].filter((name) => !first.includes(name))
  return [...first.filter((name) => values.has(name)), ...rest]
}

function* readAll(
  names: readonly RegisterName[],
): Steps<{ name: RegisterName; result: number; value: AnyRegisterValue }[]> {
  const batch = new OneRegBatch(names.length)
  putNames(batch, names)
  yield { operation: 'KVM_GET_ONE_REG', batch }
  return names.map((name, index) => ({
    name,
    result: batch.results[index] ?? 0,
    value: takeValue(batch, index, lookUp(name).width),
  }))
}

function failed(
  vcpu: OpenVcpu,
  operation: string,
  register: RegisterName,
  result: number,
): KvmError {
  return new KvmError(result, { operation, register, vcpu: vcpu.id })
}
