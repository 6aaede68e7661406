import { errnoName } from './errno.ts'
import type { RegisterName } from './registers.ts'

/**
 * Which call to the kernel failed, and on what.
 *
 * @group Errors
 */
export interface KvmErrorContext {
  /** The call's name in the kernel: `KVM_SET_ONE_REG`. */
  readonly operation: string
  /** The register's name, or its id in hexadecimal. */
  readonly register?: string | undefined
  /** The vCPU's id. */
  readonly vcpu?: number | undefined
}

/**
 * A call to the kernel failed. `code`, `errno` and `syscall` are those of Node's own system errors.
 *
 * Do not let a program depend on which `code` a situation gives: the kernel's documentation says that it
 * may change (Documentation/virt/kvm/api.rst, 4.68).
 *
 * @group Errors
 */
export class KvmError extends Error implements KvmErrorContext {
  override readonly name = 'KvmError'
  /** The name of the error, such as `'EINVAL'`. */
  readonly code: string
  /** The number of the error, negative as in Node's errors: -22. */
  readonly errno: number
  /** The system call, such as `'ioctl'`. */
  readonly syscall: string
  readonly operation: string
  declare readonly register?: string
  declare readonly vcpu?: number

  constructor(errno: number, context: KvmErrorContext) {
    const code = errnoName(errno)
    const of = context.register === undefined ? '' : ` of ${context.register}`
    const on = context.vcpu === undefined ? '' : ` on vCPU ${context.vcpu}`
    super(`${context.operation}${of}${on} failed: ${code} (${usualCause(code, context)})`)
    this.code = code
    this.errno = errno
    this.syscall = context.operation.startsWith('KVM_') ? 'ioctl' : context.operation
    this.operation = context.operation
    if (context.register !== undefined) this.register = context.register
    if (context.vcpu !== undefined) this.vcpu = context.vcpu
  }
}

function usualCause(code: string, context: KvmErrorContext): string {
  const ofRegister = context.register !== undefined
  switch (code) {
    case 'EIO':
      return 'the VM was made by another process: calls on its vCPUs work only in the process that created it, not in a child process or over a passed descriptor; worker threads are fine'
    case 'EINVAL':
      if (ofRegister)
        return 'this kernel or processor does not have the register, refuses the value, or the descriptor is not a vCPU'
      if (context.operation === 'KVM_CREATE_VCPU')
        return 'the id is taken or too high for this kernel, or the descriptor is not a VM'
      return 'the kernel refuses the argument'
    case 'EEXIST':
      return 'it exists already'
    case 'ENXIO':
      return 'the guest lacks the device that the register belongs to'
    case 'ENOTTY':
      return 'the descriptor belongs to another kind of file'
    case 'EBADF':
      return 'the descriptor is closed'
    case 'EACCES':
      if (context.operation === 'readlink')
        return "/proc is not mounted, or hidden by Node's permission model: --allow-fs-read=/proc"
      return 'this user has no permission'
    case 'EINTR':
      return 'a signal interrupted the call; try again'
    case 'ENOMEM':
      return 'the kernel has no memory left for the call'
    case 'EMFILE':
      return 'this process has too many files open; see ulimit -n'
    case 'EFAULT':
      return 'the kernel could not read or write the memory that the call named'
    default:
      return "see ioctl(2) and the kernel's Documentation/virt/kvm/api.rst"
  }
}

/**
 * The codes of {@link OneRegError}.
 *
 * @group Errors
 */
export type ErrorCode =
  | 'ERR_KVM_UNAVAILABLE'
  | 'ERR_KVM_CLOSED'
  | 'ERR_NO_VCPUS'
  | 'ERR_VCPUS_MISMATCH'
  | 'ERR_VCPU_HELD'
  | 'ERR_TIMEBASE_FREQUENCY'
  | 'ERR_TIMEBASE_DIVERGED'
  | 'ERR_TIMEBASE_DOWNTIME'
  | 'ERR_TIMEBASE_CLOCK'
  | 'ERR_TIMEBASE_NOT_APPLIED'
  | 'ERR_TIMEBASE_NOT_REACHED'
  | 'ERR_RESTORE_INCOMPLETE'
  | 'ERR_ONE_REG_NOT_LOADED'
  | 'ERR_STATE_FORMAT'
  | 'ERR_STATE_VERSION'
  | VmstateErrorCode

/**
 * The codes of {@link VmstateError}: what is wrong with bytes in one of QEMU's formats.
 *
 * @group Errors
 */
export type VmstateErrorCode =
  /** The bytes break a rule of the format. */
  | 'ERR_VMSTATE_FORMAT'
  /** The bytes end too early. */
  | 'ERR_VMSTATE_TRUNCATED'
  /** The bytes have a version that the description does not read. */
  | 'ERR_VMSTATE_VERSION'
  /** A field that must equal the destination's differs from it. */
  | 'ERR_VMSTATE_MISMATCH'
  /** The bytes or the state lack something that the call needs. */
  | 'ERR_VMSTATE_MISSING'
  /** The bytes may well be valid, but use something that this release does not read. */
  | 'ERR_VMSTATE_UNSUPPORTED'
  /** The bytes need more than one of the reader's limits allows. */
  | 'ERR_VMSTATE_LIMIT'

/**
 * The `reason` of an ERR_KVM_UNAVAILABLE: what is lacking.
 *
 * @group Errors
 */
export type UnavailableReason =
  /** The device does not exist. */
  | 'no-device'
  /** This user may not open the device. */
  | 'no-permission'
  /** The device has no driver. */
  | 'no-driver'
  /** The device could not be opened; `cause` says why. */
  | 'not-opened'
  /** The device is not a KVM device. */
  | 'not-kvm'
  /** KVM has no ONE_REG. */
  | 'no-one-reg'
  /** The native addon could not be loaded. */
  | 'no-addon'
  /** A vCPU has no TB_OFFSET. */
  | 'no-timebase-offset'
  /** The processor has no timebase, or its frequency is not known. */
  | 'no-timebase'
  /** The host's timebase goes back. */
  | 'unsteady-timebase'

/**
 * The `reason` of an ERR_VCPUS_MISMATCH: why the vCPUs are not those of one guest.
 *
 * @group Errors
 */
export type MismatchReason =
  /** They belong to different `Host` objects. */
  | 'hosts'
  /** They belong to different VMs. */
  | 'vms'
  /** One was given twice. */
  | 'repeated'
  /** One that was saved was not given. */
  | 'missing'

/**
 * The situation, for a code that has several.
 *
 * @group Errors
 */
export type ErrorReason = UnavailableReason | MismatchReason

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

  constructor(code: ErrorCode, message: string, options: OneRegErrorOptions = {}) {
    const { reason, cause } = options
    super(message, cause === undefined ? undefined : { cause })
    this.code = code
    if (reason !== undefined) this.reason = reason
  }
}

interface OneRegErrorOptions extends ErrorOptions {
  readonly reason?: ErrorReason
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
  /** The ids of the vCPUs to which these belong: they are unfit to run, and the others are as before. */
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
