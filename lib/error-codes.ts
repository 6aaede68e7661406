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
  /** The device is not a KVM device, or `verify` was given a model, which runs no guests. */
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
