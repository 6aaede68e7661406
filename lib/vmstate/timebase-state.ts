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
 * QEMU's `timebase`, decoded.
 *
 * @group Timebases
 */
export type QemuTimebaseFields = StateOf<typeof timebase>

/**
 * The parts of a state that `cpu/timebase` does not have, so that the caller must supply them.
 *
 * @group Timebases
 */
export interface BeyondCpuTimebase {
  /**
   * How far apart the readings of the timebase and the wall clock can be, in ns, u64. It is at least 1000n:
   * the patch reads one clock after the other, and its time of day is in µs.
   */
  readonly uncertaintyNs: bigint
  /** The timers of the vCPUs, if they were saved in another way; a timer that is missing fires at once. */
  readonly vcpus: TimebaseState['vcpus']
}

/**
 * The parts of a state that QEMU's `timebase` does not have, so that the caller must supply them.
 *
 * @group Timebases
 */
export interface BeyondQemuTimebase extends BeyondCpuTimebase {
  /** Ticks per second of the guest's timebase, in Hz, u64: 512000000n on POWER. */
  readonly timebaseFrequency: bigint
  /** TB_OFFSET of the source's vCPUs, in ticks, u64. A load only reports it: 0n will do if it is not known. */
  readonly offset: bigint
  /**
   * Whether the guest had been stopped before it was migrated. Under KVM, QEMU then computes its timebase
   * from the offset that it had asked for, not from the one that the kernel rounded up to a whole step. The
   * result can be up to a step of 2^24 ticks behind what the guest has read. With true a step is added, so
   * that the guest does not go back.
   */
  readonly guestWasStopped?: boolean
}

/**
 * Converts a guest's timebase from the format of the patch of 2013.
 *
 * @param timebase the decoded fields of `cpu/timebase`
 * @param beyond the parts of a state that this format does not have
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
  // Writing checks the types and ranges of all fields.
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
 * Converts a guest's timebase to the format of the patch of 2013. The format has no room for the
 * uncertainty, the rounding error of earlier moves and the vCPUs' timers. Its time of day has whole µs and
 * is rounded down, so that the guest goes on up to 1 µs further than it should.
 *
 * @param state the result of `saveTimebase`
 * @throws TypeError, RangeError for a state with a wrong field, a time before 1970, or a frequency of more
 *   than 32 bits
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
    // Rounded down, so that the guest is ahead rather than behind.
    time_of_the_day: timeOfDayNs / NS_PER_US,
    tb_freq: Number(timebaseFrequency),
  }
}

/**
 * Converts a guest's timebase from QEMU's format: the field `tb` of {@link spapr}, or the result of
 * {@link readQemuTimebase}. The guest must have run under KVM: under TCG the field is the host's cycle
 * counter (docs/formats.md).
 *
 * @param timebase the result of {@link readQemuTimebase}, or the decoded fields of `timebase`
 * @param beyond the parts of a state that this format does not have
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
 * Converts a guest's timebase to QEMU's format. The format has no room for the frequency, the offset, the
 * uncertainty, the rounding error of earlier moves and the vCPUs' timers.
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
