import { checkObject, checkOptionNames, wrongType } from '../checks.ts'
import { expiryToWrite } from './decrementer.ts'
import { takeValue } from './entries.ts'
import { KvmError, RestoreIncompleteError } from '../errors.ts'
import type { NotWritten } from '../errors.ts'
import { errnoName, meansAbsent } from '../errno.ts'
import { NO_REGISTER } from '../kernel/batch.ts'
import type { OneRegBatch } from '../kernel/batch.ts'
import { LastLayout, layoutOf, namesIn, putValues } from './layout.ts'
import type { Layout } from './layout.ts'
import type { OpenVcpu } from './open-vcpu.ts'
import type { RegisterName, RegisterValue, RegisterValues, RegisterWidth } from '../registers.ts'
import { sameValue } from '../register-values.ts'
import type { AnyRegisterValue } from '../register-values.ts'
import type { Scratch } from './scratch.ts'
import type { Steps } from './steps.ts'

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

/** The registers that are written before all others: see {@link earlyFirst}. */
const early: readonly RegisterName[] = [
  ...(['ARCH_COMPAT', 'LPCR', 'LPCR_64', 'TB_OFFSET', 'DEC_EXPIRY'] as const),
  ...(['VPA_ADDR', 'VPA_SLB', 'VPA_DTL'] as const),
]

/**
 * The order in which registers are written. ARCH_COMPAT and LPCR come first, since they change the meaning of
 * others. DEC_EXPIRY follows TB_OFFSET, because kernels before 5.17 keep it relative to that. The SLB shadow
 * and the dispatch log need the VPA: the kernel refuses to set them without it.
 */
function earlyFirst(names: readonly RegisterName[]): RegisterName[] {
  const rest = names.filter((name) => !early.includes(name))
  return [...early.filter((name) => names.includes(name)), ...rest]
}

const lastRestored = new LastLayout(earlyFirst)

/**
 * {@link Vcpu.restore}.
 *
 * @param scratch where the batches come from
 */
export function* writeSnapshot(
  vcpu: OpenVcpu,
  scratch: Scratch,
  snapshot: RegisterValues,
  options: RestoreOptions,
): Steps<RestoreOutcome> {
  const layout = lastRestored.of(namesIn('snapshot', snapshot))
  const { names } = layout
  // One more, for clearVpaLast.
  const batch = scratch.take(names.length + 1)
  putValues(batch, layout, snapshot)
  checkOptionNames('options', checkObject('options', options), ['timebase', 'verify'])
  const { timebase = false, verify = false } = options
  if (typeof timebase !== 'boolean') throw wrongType('options.timebase', 'a boolean', timebase)
  if (typeof verify !== 'boolean') throw wrongType('options.verify', 'a boolean', verify)
  const leftOut = timebase ? -1 : names.indexOf('TB_OFFSET')
  if (leftOut >= 0) batch.ids[leftOut] = NO_REGISTER
  if (timebase) dueTimerFiresAtOnce(vcpu, layout, batch)
  clearVpaLast(layout, batch)
  yield { operation: 'KVM_SET_ONE_REG', batch }

  const notWritten = entriesWith((result) => result < 0, layout, batch)
  const written = verify ? entriesWith((result) => result === 0, layout, batch) : []
  scratch.giveBack(batch)
  const wentWrong = notWritten.filter(({ result }) => !meansAbsent(result))
  const refused = yield* thatDiffer(
    scratch,
    notWritten.filter(({ result }) => meansAbsent(result)),
  )
  const [first] = wentWrong
  if (first === undefined) {
    return verify ? { refused, changed: yield* thatChanged(vcpu, scratch, written) } : { refused }
  }
  throw new RestoreIncompleteError({
    vcpu: vcpu.id,
    failed: wentWrong.map(({ register, result }) => ({ register, code: errnoName(result) })),
    refused,
    of: leftOut < 0 ? names.length : names.length - 1,
    cause: failed(vcpu, 'KVM_SET_ONE_REG', first.register, first.result),
  })
}

/**
 * Replaces a DEC_EXPIRY that has passed by the guest's timebase of now: see {@link expiryToWrite}. It does so
 * only if the snapshot has the offset, since without it the guest's timebase is not known yet.
 */
function dueTimerFiresAtOnce(vcpu: OpenVcpu, { names }: Layout, batch: OneRegBatch): void {
  const offset = names.indexOf('TB_OFFSET')
  const expiry = names.indexOf('DEC_EXPIRY')
  if (offset < 0 || expiry < 0) return
  const timebase = vcpu.system.kernel.timebase()
  // An error on a processor without mftb, on which the guest's timebase is not known.
  if (timebase < 0n) return
  const now = BigInt.asUintN(64, timebase + batch.get64(offset))
  batch.set64(expiry, expiryToWrite(batch.get64(expiry), now))
}

/**
 * Moves VPA_ADDR behind all others if it is 0: the kernel refuses to clear it before the SLB shadow and the
 * dispatch log.
 */
function clearVpaLast({ names, ids }: Layout, batch: OneRegBatch): void {
  const last = names.length
  const address = names.indexOf('VPA_ADDR')
  const isCleared = address >= 0 && batch.get64(address) === 0n
  batch.used = isCleared ? last + 1 : last
  if (!isCleared) return
  batch.ids[last] = ids[address] ?? NO_REGISTER
  batch.set64(last, 0n)
  batch.ids[address] = NO_REGISTER
}

/** A register, the value that it is to hold, and the result of setting it. */
interface Wanted {
  readonly register: RegisterName
  readonly width: RegisterWidth
  readonly wanted: AnyRegisterValue
  readonly result: number
}

/** The entries of a batch that has been written whose result is such. */
function entriesWith(
  isSuch: (result: number) => boolean,
  { registers }: Layout,
  batch: OneRegBatch,
): Wanted[] {
  const found: Wanted[] = []
  for (let index = 0; index < batch.used; index++) {
    const result = batch.results[index] ?? 0
    if (!isSuch(result) || batch.ids[index] === NO_REGISTER) continue
    // The entry behind those of the layout is that of clearVpaLast.
    const { name, width } = registers[index] ?? ({ name: 'VPA_ADDR', width: 64 } as const)
    found.push({ register: name, width, wanted: takeValue(batch, index, width), result })
  }
  return found
}

/** A register that was to be written, with its result, and the result and the value of reading it again. */
interface Held extends Wanted {
  readonly readResult: number
  readonly held: AnyRegisterValue
}

/** The refused registers that do not hold the wanted value already. */
function* thatDiffer(
  scratch: Scratch,
  refused: readonly Wanted[],
): Steps<RestoreOutcome['refused']> {
  const all = yield* readBack(scratch, refused)
  return all
    .filter(({ readResult, held, wanted }) => readResult < 0 || !sameValue(held, wanted))
    .map(({ register, result }) => ({ register, code: errnoName(result) }))
}

/** The written registers that hold another value. */
function* thatChanged(
  vcpu: OpenVcpu,
  scratch: Scratch,
  written: readonly Wanted[],
): Steps<readonly ChangedRegister[]> {
  const all = yield* readBack(scratch, written)
  const unread = all.find(({ readResult }) => readResult < 0)
  if (unread !== undefined) {
    throw failed(vcpu, 'KVM_GET_ONE_REG', unread.register, unread.readResult)
  }
  return all
    .filter(({ held, wanted }) => !sameValue(held, wanted))
    .map(({ register, wanted, held }) => ({ register, wanted, held }))
}

function* readBack(scratch: Scratch, wanted: readonly Wanted[]): Steps<Held[]> {
  if (wanted.length === 0) return []
  const batch = scratch.take(wanted.length)
  batch.ids.set(layoutOf(wanted.map(({ register }) => register)).ids)
  yield { operation: 'KVM_GET_ONE_REG', batch }
  const held = wanted.map((entry, index) => ({
    ...entry,
    readResult: batch.results[index] ?? 0,
    held: takeValue(batch, index, entry.width),
  }))
  scratch.giveBack(batch)
  return held
}

function failed(
  vcpu: OpenVcpu,
  operation: string,
  register: RegisterName,
  result: number,
): KvmError {
  return new KvmError(result, { operation, register, vcpu: vcpu.id })
}
