import type {
  ErrorCode,
  ErrorReason,
  MismatchReason,
  UnavailableReason,
  VmstateErrorCode,
} from './error-codes.ts'
import type { KvmError } from './kvm-error.ts'
import type { RegisterName } from './registers.ts'

/** All errors are imported from this module; those of the kernel and the codes are in modules of their own. */
export { KvmError } from './kvm-error.ts'
export type { KvmErrorContext } from './kvm-error.ts'
export type * from './error-codes.ts'

/**
 * An error that this library found itself, not the kernel; `code` says which.
 *
 * @group Errors
 */
export class OneRegError extends Error {
  override readonly name: string = 'OneRegError'
  readonly code: ErrorCode
  /** The situation; only for ERR_KVM_UNAVAILABLE and ERR_VCPUS_MISMATCH. */
  declare readonly reason?: ErrorReason
  /** The error that led to this one: a {@link KvmError} if a call to the kernel failed. */
  declare readonly cause?: Error

  constructor(
    code: ErrorCode,
    message: string,
    options: ErrorOptions & { readonly reason?: ErrorReason } = {},
  ) {
    const { reason, cause } = options
    super(message, cause === undefined ? undefined : { cause })
    this.code = code
    if (reason !== undefined) this.reason = reason
  }
}

/** For something that this machine, its kernel or this installation lacks. */
export function unavailable(
  reason: UnavailableReason,
  message: string,
  cause?: unknown,
): OneRegError {
  return new OneRegError('ERR_KVM_UNAVAILABLE', message, { reason, cause })
}

/** For vCPUs that are not those of one guest. */
export function mismatch(reason: MismatchReason, message: string): OneRegError {
  return new OneRegError('ERR_VCPUS_MISMATCH', message, { reason })
}

export function closed(what: string): OneRegError {
  return new OneRegError('ERR_KVM_CLOSED', `${what} is closed`)
}

export function stateFormat(message: string, cause?: unknown): OneRegError {
  return new OneRegError('ERR_STATE_FORMAT', message, cause === undefined ? {} : { cause })
}

/**
 * The vCPUs of a guest have different offsets, so the guest does not have one timebase that could be saved.
 *
 * @group Errors
 */
export class TimebaseDivergedError extends OneRegError {
  /** TB_OFFSET of every vCPU, in ticks, u64. */
  readonly offsets: readonly { readonly vcpu: number; readonly offset: bigint }[]

  constructor(offsets: readonly { readonly vcpu: number; readonly offset: bigint }[]) {
    const list = offsets.map(({ vcpu, offset }) => `vCPU ${vcpu}: ${offset}`).join(', ')
    super('ERR_TIMEBASE_DIVERGED', `The vCPUs have different timebase offsets (${list})`)
    this.offsets = offsets
  }
}

/**
 * The guest was started on a host with another timebase frequency. It read the frequency once, at boot, and
 * cannot be told of a new one.
 *
 * @group Errors
 */
export class TimebaseFrequencyError extends OneRegError {
  /** The frequency in the saved state, in Hz. */
  readonly saved: bigint
  /** The frequency of the host that should load the state, in Hz. */
  readonly host: bigint

  constructor(saved: bigint, host: bigint) {
    super(
      'ERR_TIMEBASE_FREQUENCY',
      `The guest's timebase runs at ${saved} Hz and this host's at ${host} Hz; a guest cannot change its frequency`,
    )
    this.saved = saved
    this.host = host
  }
}

/**
 * The guest was away for too long, or the two hosts' clocks disagree.
 *
 * @group Errors
 */
export class TimebaseDowntimeError extends OneRegError {
  /** How long the guest was away by the clocks of the two hosts, in ns. */
  readonly downtimeNs: bigint
  /** The caller's limit, in ns; absent if the downtime is too long for any guest. */
  declare readonly maxDowntimeNs?: bigint

  constructor(downtimeNs: bigint, maxDowntimeNs?: bigint) {
    const why =
      maxDowntimeNs === undefined
        ? 'the guest could not tell it from a step back'
        : `maxDowntimeNs is ${maxDowntimeNs}`
    super(
      'ERR_TIMEBASE_DOWNTIME',
      `By the two hosts' clocks the guest was away for ${downtimeNs} ns, which is too long: ${why}. Are both clocks synchronised?`,
    )
    this.downtimeNs = downtimeNs
    if (maxDowntimeNs !== undefined) this.maxDowntimeNs = maxDowntimeNs
  }
}

/**
 * The destination's wall clock is behind the time at which the guest was saved, so the two hosts' clocks
 * disagree by at least as much, and how long the guest was away is not known.
 *
 * @group Errors
 */
export class TimebaseClockError extends OneRegError {
  /** How far the destination's wall clock is behind the saved time, in ns. */
  readonly behindNs: bigint
  /** How far it may be behind because of the known errors of both clocks, in ns. */
  readonly toleranceNs: bigint

  constructor(behindNs: bigint, toleranceNs: bigint) {
    super(
      'ERR_TIMEBASE_CLOCK',
      `This host's wall clock is ${behindNs} ns behind the time at which the guest was saved, of which the errors of both clocks explain ${toleranceNs} ns: the two hosts' clocks disagree, so it is not known how long the guest was away. Synchronise the clocks and load the same state again. Without maxDowntimeNs it is loaded all the same, and the guest's clock loses the pause`,
    )
    this.behindNs = behindNs
    this.toleranceNs = toleranceNs
  }
}

/**
 * A register that could not be put back after a load that failed, and why.
 *
 * @group Errors
 */
export interface NotRestored {
  readonly vcpu: number
  readonly register: string
  readonly problem: string
}

/** Why a load failed, and whether the registers that it had written were restored. */
export interface NotApplied {
  readonly vcpu?: number | undefined
  readonly register?: string | undefined
  readonly problem: string
  /** Whether a register had been written before the failure. */
  readonly written: boolean
  readonly notRestored: readonly NotRestored[]
  readonly cause?: KvmError | undefined
}

/**
 * A timebase could not be loaded or inherited.
 *
 * @group Errors
 */
export class TimebaseNotAppliedError extends OneRegError {
  /** The vCPU and the register on which the call failed, if it failed on one. */
  declare readonly vcpu?: number
  declare readonly register?: string
  /** The call that failed; not there if a register reads back another value than was written. */
  declare readonly cause?: KvmError
  /** True if every register holds the value that it had before the call. */
  readonly restored: boolean
  /** The registers that do not hold the value from before the call: empty if `restored`. */
  readonly notRestored: readonly NotRestored[]
  /**
   * The ids of the vCPUs to which these belong: they are unfit to run, and the others are as before. In a
   * PowerVM partition one of them that runs takes the whole guest to its own TB_OFFSET.
   */
  readonly unfit: readonly number[]

  /** @internal */
  constructor({ vcpu, register, problem, written, notRestored, cause }: NotApplied) {
    super(
      'ERR_TIMEBASE_NOT_APPLIED',
      `The timebase was not applied: ${problem}. ${aftermath(written, notRestored)}`,
      cause === undefined ? {} : { cause },
    )
    if (vcpu !== undefined) this.vcpu = vcpu
    if (register !== undefined) this.register = register
    this.restored = notRestored.length === 0
    this.notRestored = notRestored
    this.unfit = [...new Set(notRestored.map((register) => register.vcpu))]
  }
}

function aftermath(written: boolean, notRestored: readonly NotRestored[]): string {
  if (!written) return 'Nothing had been changed'
  if (notRestored.length === 0) return 'Everything was put back as it was'
  const list = notRestored.map(
    ({ vcpu, register, problem }) => `${register} on vCPU ${vcpu} (${problem})`,
  )
  return `These could not be put back: ${list.join(', ')}; do not run this guest`
}

/**
 * A register that a restore did not write, and the kernel's reason: `'EIO'`.
 *
 * @group Errors
 */
export interface NotWritten {
  readonly register: RegisterName
  readonly code: string
}

/**
 * Some registers of a snapshot could not be written. All that are not listed here were written.
 *
 * @group Errors
 */
export class RestoreIncompleteError extends OneRegError {
  /** The first call that failed. */
  declare readonly cause: KvmError
  readonly vcpu: number
  /** The registers for which the kernel's call failed, in the order in which they were written. */
  readonly failed: readonly NotWritten[]
  /** The registers that this kernel refuses to set and that hold another value: see {@link RestoreOutcome}. */
  readonly refused: readonly NotWritten[]

  /** @internal */
  constructor({ vcpu, failed, refused, of, cause }: RestoreIncomplete) {
    super('ERR_RESTORE_INCOMPLETE', incomplete(vcpu, failed, refused, of), { cause })
    this.vcpu = vcpu
    this.failed = failed
    this.refused = refused
  }
}

interface RestoreIncomplete {
  readonly vcpu: number
  readonly failed: readonly NotWritten[]
  readonly refused: readonly NotWritten[]
  /** How many registers the restore was to write. */
  readonly of: number
  readonly cause: KvmError
}

/** How many registers a message names at most. */
const NAMED_REGISTERS = 8

function incomplete(
  vcpu: number,
  failed: readonly NotWritten[],
  refused: readonly NotWritten[],
  of: number,
): string {
  const all = [...failed, ...refused]
  const named = all.slice(0, NAMED_REGISTERS).map(({ register, code }) => `${register} (${code})`)
  const more = all.length > named.length ? [`${all.length - named.length} more`] : []
  const rest = all.length < of ? 'the others were' : 'none was'
  return `Not all registers were written to vCPU ${vcpu}: ${[...named, ...more].join(', ')}; ${rest}`
}

/**
 * The registers and the timebase of a guest were loaded in part: `cause` is the error that ended it.
 *
 * @group Errors
 */
export class OneRegNotLoadedError extends OneRegError {
  declare readonly cause: Error
  /**
   * The ids of the vCPUs that hold some of the saved values and not all: they are unfit to run, and are to
   * be made anew.
   */
  readonly unfit: readonly number[]

  /** @internal */
  constructor(unfit: readonly number[], cause: Error) {
    super(
      'ERR_ONE_REG_NOT_LOADED',
      `The registers and the timebase were not loaded: ${cause.message}. These vCPUs are unfit to run, make them anew: ${unfit.join(', ')}`,
      { cause },
    )
    this.unfit = unfit
  }
}

/**
 * Bytes in one of QEMU's formats cannot be read, or a value cannot be written in one.
 *
 * @group Errors
 */
export class VmstateError extends OneRegError {
  /** The byte at which the problem was found, counted from the beginning of the bytes; absent on writing. */
  declare readonly offset?: number

  constructor(code: VmstateErrorCode, problem: string, offset?: number, options?: ErrorOptions) {
    const where = offset === undefined ? '' : ` (at byte ${offset}, 0x${offset.toString(16)})`
    super(code, `${problem}${where}`, options)
    if (offset !== undefined) this.offset = offset
  }
}
