import type { QemuCommand } from './commands.ts'
import type { QemuLibvirtFormat, QemuLibvirtImage } from './libvirt.ts'
import type { QemuRamBlock } from './ram-blocks.ts'

export type { QemuCommand, QemuLibvirtFormat, QemuLibvirtImage, QemuRamBlock }

/**
 * Where a reader takes a stream from: the path of a file, bytes in memory, or chunks as they come in.
 *
 * @group Streams
 */
export type QemuStreamSource = string | Uint8Array | AsyncIterable<Uint8Array>

/**
 * What {@link readQemuStream} and {@link readQemuTimebase} may do with a stream.
 *
 * @group Streams
 */
export interface QemuStreamOptions {
  /**
   * Look for the timebase in streams that do not say where it is: those without a description at
   * the end, from `suppress-vmdesc=on`, machines before pseries-2.3, and postcopy. It is taken only
   * where exactly one place fits. Such a stream cannot be told from one that was cut off behind it,
   * and its other devices are not decoded. False unless told.
   */
  readonly search?: boolean
}

/**
 * A section as it stands in the stream.
 *
 * @group Streams
 */
export interface QemuSection {
  /** `full` is a device; `start`, `part` and `end` are what is sent in pieces: RAM and the hash page table. */
  readonly type: 'start' | 'part' | 'end' | 'full'
  /** The number by which part and end sections name the one that started them, u32. */
  readonly id: number
  readonly name: string
  /** u32: which of several of the same name. */
  readonly instance: number
  /** u32, of the layout. */
  readonly version: number
  /** Where in the stream its first byte is. */
  readonly offset: number
  /** In bytes, from its mark to its footer. */
  readonly length: number
}

/**
 * An array of integers, in the order of this machine.
 *
 * @group Streams
 */
export type QemuIntegers =
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint32Array
  | Int32Array
  | BigUint64Array
  | BigInt64Array

/**
 * What a field holds. Integers of up to 32 bits are numbers, those of 64 bits bigints; arrays of
 * integers are typed arrays; what is neither an integer nor a bool is bytes, as in the stream.
 *
 * @group Streams
 */
export type QemuValue = number | bigint | boolean | QemuIntegers | QemuStruct | readonly QemuValue[]

/**
 * A structure: a device's, one within it, or a subsection.
 *
 * @group Streams
 */
export interface QemuStruct {
  /** What QEMU calls its description (VMStateDescription): `timebase`. */
  readonly name: string
  /** u32, of the description; 0 for devices that have none. */
  readonly version: number
  /** By name, in the order of the stream. The object has no prototype. */
  readonly fields: Readonly<Record<string, QemuValue>>
  /** The optional parts that are there. */
  readonly subsections: readonly QemuStruct[]
}

/**
 * A device: the contents of a full section.
 *
 * @group Streams
 */
export interface QemuDevice extends Omit<QemuStruct, 'name'> {
  /** The section's: `cpu`, `nvram@71000000/spapr_nvram`. */
  readonly name: string
  /** u32: vCPUs count from 0. */
  readonly instance: number
  /** What QEMU calls its description: `spapr_nvram`. Devices of an old kind have none. */
  readonly vmsdName?: string
  /** Where in the stream its fields begin, in bytes. */
  readonly offset: number
  /** Of fields and subsections, in bytes. */
  readonly length: number
}

/**
 * The timebase in a stream of a pseries guest: two numbers, of which one is the guest's.
 *
 * Which one depends on what ran the guest, and the stream does not say it. Under KVM take
 * `guestTimebase`. Under TCG, QEMU's emulation, take `virtualClockTimebase`.
 *
 * @group Streams
 */
export interface QemuTimebase {
  /**
   * The field `guest_timebase` of section `spapr`, u64.
   *
   * Under KVM it is the guest's timebase in ticks of 512 MHz; where the guest was stopped before it
   * was saved, QEMU computes it from the offset that it asked for, not the one that the kernel
   * rounded it to, and it can be up to 2^24 ticks behind what the guest has read (QEMU,
   * hw/ppc/ppc.c: timebase_save). Under TCG it is the cycle counter of the host, and no guest time.
   */
  readonly guestTimebase: bigint
  /** The field `time_of_the_day_ns`: the source's wall clock at that instant, ns since the epoch, i64. */
  readonly timeOfDayNs: bigint
  /**
   * QEMU's virtual clock in ticks of 512 MHz, u64: `cpu_clock_offset` of section `timer`, in ns,
   * times 512/1000, rounded down. Under TCG it is what the guest reads from its timebase. Under KVM
   * it is the time that the guest ran, and no timebase. Not there if the stream was searched.
   */
  readonly virtualClockTimebase?: bigint
  /** Where in the stream `guest_timebase` is, in bytes. */
  readonly offset: number
  /** True if the place was found by searching, not by the stream's description. */
  readonly searched: boolean
}

/**
 * All that a migration stream of a pseries guest says about itself.
 *
 * @group Streams
 */
export interface QemuStream {
  /** `pseries-10.0`. Not there in streams of machines up to pseries-2.3, nor in those of devices only. */
  readonly machine?: string
  /** Those that change the format: `x-ignore-shared`, `mapped-ram`. */
  readonly capabilities: readonly string[]
  /** The guest's, if the source had to send it. */
  readonly uuid?: string
  /** Whether each section ends with a footer: those of machines from pseries-2.4 on do. */
  readonly footers: boolean
  readonly ramBlocks: readonly QemuRamBlock[]
  /** The hash page table has 2^shift bytes. Not there if the guest has none, since it uses radix. */
  readonly htabShift?: number
  /** All sections in order, without the part and end sections after the first 65,536 of both. */
  readonly sections: readonly QemuSection[]
  /** How many part sections there are. */
  readonly partSections: number
  /** The commands in order, those in packages included, at most the first 65,536. */
  readonly commands: readonly QemuCommand[]
  /** Whether there is a description at the end; `devices` is empty without one. */
  readonly described: boolean
  /** Every device, in order. */
  readonly devices: readonly QemuDevice[]
  readonly timebase: QemuTimebase
  /**
   * How many bytes are behind the stream and not part of it: the rest of a cluster, or of a block
   * device. Not there if there are none. From a pipe, bytes beyond 64 MiB of them are not counted.
   */
  readonly trailingBytes?: number
  /** The header in front of the stream, if it was read from a save image of libvirt. */
  readonly libvirt?: QemuLibvirtImage
}
