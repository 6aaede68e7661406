import { checkObject, checkOptionNames, outOfRange, wrongType } from '../checks.ts'
import { VmstateError } from '../errors.ts'
import { checkTimebaseState } from '../timebase/state.ts'
import type { TimebaseState } from '../timebase/state.ts'
import { TIMEBASE_OFFSET_STEP } from '../timebase/plan.ts'
import type { TimebasePoint } from '../timebase/plan.ts'
import { cpuTimebase } from './cpu.ts'
import { encode } from './encode.ts'
import type { timebase } from './spapr.ts'
import type { StateOf } from './types.ts'

const NS_PER_US = 1000n
const U32_MAX = 0xffff_ffffn
const I64_MAX = (1n << 63n) - 1n

/**
 * A decoded `cpu/timebase`.
 *
 * @group Timebases
 */
export type CpuTimebase = StateOf<typeof cpuTimebase>

/**
 * A decoded `timebase` of QEMU's.
 *
 * @group Timebases
 */
export type QemuTimebaseFields = StateOf<typeof timebase>

/**
 * What `cpu/timebase` does not carry, and only the caller can know.
 *
 * @group Timebases
 */
export interface BeyondCpuTimebase {
  /**
   * How far apart the instants of the two readings can be, in ns, u64. The patch reads one clock after
   * the other, so it is at least the µs of its time of day.
   */
  readonly uncertaintyNs: bigint
  /** The timers of the vCPUs as far as they were saved another way; a load lets the others fire at once. */
  readonly vcpus: TimebaseState['vcpus']
}

/**
 * What QEMU's `timebase` does not carry, and only the caller can know.
 *
 * @group Timebases
 */
export interface BeyondQemuTimebase extends BeyondCpuTimebase {
  /** Ticks per second of the guest's timebase, in Hz, u64: 512000000n on POWER. */
  readonly timebaseFrequency: bigint
  /** TB_OFFSET of the source's vCPUs, in ticks, u64: for the record, 0n if nobody knows. */
  readonly offset: bigint
  /**
   * The guest had been stopped before it was migrated. Under KVM QEMU computes its timebase from an
   * offset that it remembers without the kernel's rounding, which can be up to 2^24 ticks behind what
   * the guest has read; with true that many are added, so that it does not go back.
   */
  readonly guestWasStopped?: boolean
}

/**
 * A guest's timebase out of the format of the patch of 2013.
 *
 * @param timebase the decoded fields of `cpu/timebase`
 * @param beyond what a state needs and this format does not have
 * @throws VmstateError ERR_VMSTATE_FORMAT for a time of day beyond the year 2262, or a frequency of 0
 * @throws TypeError, RangeError
 * @example
 * ```ts
 * const state = cpuTimebaseToState(decode(cpuTimebase, bytes, { destination }), beyond)
 * ```
 * @group Timebases
 */
export function cpuTimebaseToState(
  timebase: CpuTimebase,
  beyond: BeyondCpuTimebase,
): TimebaseState {
  // What can be written has the right fields.
  encode(cpuTimebase, timebase)
  checkObject('beyond', beyond)
  checkOptionNames('beyond', beyond, ['uncertaintyNs', 'vcpus'])
  const { timebase: ticks, tb_offset, time_of_the_day, tb_freq } = timebase
  if (time_of_the_day * NS_PER_US > I64_MAX) {
    throw new VmstateError(
      'ERR_VMSTATE_FORMAT',
      `time_of_the_day is ${time_of_the_day} µs, for which 64 bits of ns have no room`,
    )
  }
  if (tb_freq === 0) throw new VmstateError('ERR_VMSTATE_FORMAT', 'tb_freq is 0')
  return checked({
    guestTimebase: u64(ticks + tb_offset),
    timeOfDayNs: time_of_the_day * NS_PER_US,
    timebaseFrequency: BigInt(tb_freq),
    uncertaintyNs: beyond.uncertaintyNs,
    offset: u64(tb_offset),
    vcpus: beyond.vcpus,
  })
}

/**
 * A guest's timebase in the format of the patch of 2013. What is lost: the ns of the time of day beyond
 * its µs, for which the guest goes on by less than 1 µs more than it should; the uncertainty, the
 * rounding error of earlier moves, and the vCPUs' timers.
 *
 * @param state the result of `saveTimebase`
 * @throws TypeError, RangeError for a state with a wrong field, a time before 1970, or a frequency that
 *   32 bits have no room for
 * @example
 * ```ts
 * const bytes = encode(cpuTimebase, stateToCpuTimebase(saveTimebase(vcpus)))
 * ```
 * @group Timebases
 */
export function stateToCpuTimebase(state: TimebaseState): CpuTimebase {
  checkTimebaseState(state)
  const { guestTimebase, timeOfDayNs, timebaseFrequency, offset } = state
  if (timeOfDayNs < 0n) throw outOfRange('state.timeOfDayNs', 'since 1970', timeOfDayNs)
  if (timebaseFrequency > U32_MAX) {
    throw outOfRange('state.timebaseFrequency', 'at most 2^32 - 1', timebaseFrequency)
  }
  return {
    timebase: u64(guestTimebase - offset),
    tb_offset: BigInt.asIntN(64, offset),
    // Rounded down, so that the guest is not behind.
    time_of_the_day: timeOfDayNs / NS_PER_US,
    tb_freq: Number(timebaseFrequency),
  }
}

/**
 * A guest's timebase out of QEMU's format, as the `timebase` of {@link spapr} or {@link readQemuTimebase} gives it. It must be
 * of a guest that ran under KVM: under TCG the field is the host's cycle counter (docs/formats.md).
 *
 * @param timebase the result of {@link readQemuTimebase}, or the decoded fields of `timebase`
 * @param beyond what a state needs and this format does not have
 * @throws TypeError, RangeError
 * @example
 * ```ts
 * const state = qemuTimebaseToState(await readQemuTimebase('guest.stream'), beyond)
 * ```
 * @group Timebases
 */
export function qemuTimebaseToState(
  timebase: QemuTimebaseFields | Pick<TimebasePoint, 'guestTimebase' | 'timeOfDayNs'>,
  beyond: BeyondQemuTimebase,
): TimebaseState {
  checkObject('timebase', timebase)
  checkObject('beyond', beyond)
  const { guestWasStopped = false, ...asked } = beyond
  checkOptionNames('beyond', asked, ['timebaseFrequency', 'uncertaintyNs', 'offset', 'vcpus'])
  if (typeof guestWasStopped !== 'boolean') {
    throw wrongType('beyond.guestWasStopped', 'a boolean', guestWasStopped)
  }
  const { guestTimebase, timeOfDayNs } =
    'guest_timebase' in timebase
      ? { guestTimebase: timebase.guest_timebase, timeOfDayNs: timebase.time_of_the_day_ns }
      : timebase
  const state = checked({ guestTimebase, timeOfDayNs, ...asked })
  if (!guestWasStopped) return state
  return { ...state, guestTimebase: u64(guestTimebase + TIMEBASE_OFFSET_STEP) }
}

/**
 * A guest's timebase in QEMU's format. What is lost: the frequency, the offset, the uncertainty, the
 * rounding error of earlier moves, and the vCPUs' timers.
 *
 * @param state the result of `saveTimebase`
 * @throws TypeError, RangeError for a state with a wrong field
 * @example
 * ```ts
 * const bytes = encode(timebase, stateToQemuTimebase(saveTimebase(vcpus)))
 * ```
 * @group Timebases
 */
export function stateToQemuTimebase(state: TimebaseState): QemuTimebaseFields {
  checkTimebaseState(state)
  return { guest_timebase: state.guestTimebase, time_of_the_day_ns: state.timeOfDayNs }
}

function checked(state: TimebaseState): TimebaseState {
  checkTimebaseState(state)
  return state
}

function u64(value: bigint): bigint {
  return BigInt.asUintN(64, value)
}
