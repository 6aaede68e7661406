import type { DescribedField, DescribedStruct } from './description.ts'
import { malformed, missing, unknownVersion } from './errors.ts'
import type { PlacedDevice } from './fields.ts'
import type { QemuTimebase } from './types.ts'

/** The section that holds a pseries guest's timebase (QEMU, hw/ppc/spapr.c: vmstate_spapr). */
export const SPAPR = 'spapr'

/** The offset of its field `tb` by version: in version 2 it follows 4 unused bytes and the u64 rtc_offset. */
export const TB_OFFSETS: Readonly<Record<number, number>> = { 2: 12, 3: 0 }

/** guest_timebase, u64, and time_of_the_day_ns, i64 (QEMU, hw/ppc/ppc.c: vmstate_ppc_timebase). */
export const TIMEBASE_BYTES = 16
const TIMEBASE_VERSION = 1

/** The offset of cpu_clock_offset, i64, ns, in section `timer` (QEMU, softmmu/cpu-timers.c: vmstate_timers). */
const CLOCK_OFFSET = 16
const TIMER_VERSION = 2

/** A pseries guest's timebase has 512 ticks in 1000 ns. */
const TICKS = 512n
const TICKS_NS = 1000n

/**
 * The timebase of the guest whose devices these are.
 *
 * @param end the offset in the stream at which the devices end
 */
export function describedTimebase(
  devices: readonly PlacedDevice[],
  machine: string | undefined,
  end: number,
): QemuTimebase {
  const [device, another] = devices.filter(({ described }) => described.section === SPAPR)
  if (device === undefined) {
    const of = machine === undefined ? '' : ` of a ${machine} guest`
    throw missing(
      `This stream${of} has no section ${SPAPR}, where the timebase of a pseries guest is`,
      end,
    )
  }
  if (another !== undefined || device.described.instance !== 0) {
    throw malformed(`The section ${SPAPR} must be there once, as instance 0`, device.offset)
  }
  const at = timebaseOffset(device)
  const virtualClockTimebase = virtualClock(devices)
  return {
    ...readTimebase(device.bytes, at),
    ...(virtualClockTimebase === undefined ? {} : { virtualClockTimebase }),
    offset: device.offset + at,
    searched: false,
  }
}

/** Reads the two fields of a timebase. */
export function readTimebase(
  bytes: Buffer,
  at: number,
): Pick<QemuTimebase, 'guestTimebase' | 'timeOfDayNs'> {
  return {
    guestTimebase: bytes.readBigUInt64BE(at),
    timeOfDayNs: bytes.readBigInt64BE(at + 8),
  }
}

/** The offset of the timebase in the device, after checking that the description has it at its place. */
function timebaseOffset({ version, offset, described }: PlacedDevice): number {
  if (version === 1) {
    throw missing(`The section ${SPAPR} has version 1, in which there is no timebase`, offset)
  }
  const expected = TB_OFFSETS[version]
  if (expected === undefined) {
    throw unknownVersion(
      `The section ${SPAPR} has version ${version}; this release reads versions 2 and 3`,
      offset,
    )
  }
  const tb = place(described, 'tb')
  const tbVersion = tb?.field.struct?.version ?? TIMEBASE_VERSION
  if (tbVersion !== TIMEBASE_VERSION) {
    throw unknownVersion(
      `The timebase in the section ${SPAPR} has version ${tbVersion}; this release reads version ${TIMEBASE_VERSION}`,
      offset,
    )
  }
  const isTimebase =
    tb?.start === expected &&
    tb.field.arrayLength === undefined &&
    tb.field.size === TIMEBASE_BYTES &&
    isInteger(tb.field.struct, 'guest_timebase', 'uint64', 0) &&
    isInteger(tb.field.struct, 'time_of_the_day_ns', 'int64', 8)
  if (!isTimebase) {
    throw malformed(
      `In the description, the section ${SPAPR} must have at byte ${expected} the field tb, of guest_timebase (uint64) and time_of_the_day_ns (int64)`,
      offset,
    )
  }
  return expected
}

function virtualClock(devices: readonly PlacedDevice[]): bigint | undefined {
  const device = devices.find(
    ({ described }) => described.section === 'timer' && described.instance === 0,
  )
  if (device === undefined) return undefined
  if (device.version !== TIMER_VERSION) {
    throw unknownVersion(
      `The section timer has version ${device.version}; this release reads version ${TIMER_VERSION}`,
      device.offset,
    )
  }
  if (!isInteger(device.described, 'cpu_clock_offset', 'int64', CLOCK_OFFSET)) {
    throw malformed(
      `In the description, the section timer must have at byte ${CLOCK_OFFSET} the field cpu_clock_offset (int64)`,
      device.offset,
    )
  }
  const ns = device.bytes.readBigInt64BE(CLOCK_OFFSET)
  return BigInt.asUintN(64, floorDivide(ns * TICKS, TICKS_NS))
}

function floorDivide(dividend: bigint, divisor: bigint): bigint {
  const quotient = dividend / divisor
  return dividend < 0n && dividend % divisor !== 0n ? quotient - 1n : quotient
}

function isInteger(
  struct: DescribedStruct | undefined,
  name: string,
  type: `${'u' | ''}int64`,
  start: number,
): boolean {
  const found = struct && place(struct, name)
  return (
    found?.start === start &&
    found.field.type === type &&
    found.field.size === 8 &&
    found.field.arrayLength === undefined
  )
}

/** Finds a field by its name, and its offset in the structure. */
function place(
  { fields }: DescribedStruct,
  name: string,
): { readonly field: DescribedField; readonly start: number } | undefined {
  let start = 0
  for (const field of fields) {
    if (field.name === name) return { field, start }
    start += field.size * (field.arrayLength ?? 1)
  }
  return undefined
}
