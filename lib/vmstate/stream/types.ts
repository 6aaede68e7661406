import type { QemuCommand } from './commands.ts'
import type { QemuLibvirtFormat, QemuLibvirtImage } from './libvirt.ts'
import type { QemuRamBlock } from './ram-blocks.ts'
import type { QemuSnapshot } from './snapshot-table.ts'

export type { QemuCommand, QemuLibvirtFormat, QemuLibvirtImage, QemuRamBlock, QemuSnapshot }

/**
 * A stream to read: the path of a file, bytes in memory, or a Readable or other iterable of chunks.
 *
 * @group Streams
 */
export type QemuStreamSource = string | Uint8Array | AsyncIterable<Uint8Array>

/**
 * The options of {@link readQemuStream} and {@link readQemuTimebase}.
 *
 * @group Streams
 */
export interface QemuStreamOptions {
  /**
   * Whether to search for the timebase in a stream without a description at its end, which would say where
   * the timebase is. Such streams come from `suppress-vmdesc=on`, machines before pseries-2.3, and postcopy.
   * The timebase is returned only if exactly one place fits. Other devices are not decoded, and the reader
   * cannot notice that the end of such a stream is missing. The default is false.
   */
  readonly search?: boolean
  /** The name or the id of the snapshot to read, if the source is a qcow2 image with several. */
  readonly snapshot?: string
}

/**
 * A section of the stream.
 *
 * @group Streams
 */
export interface QemuSection {
  /** `full` is a device. `start`, `part` and `end` are the pieces of RAM, the hash page table and dirty bitmaps. */
  readonly type: 'start' | 'part' | 'end' | 'full'
  /** The number by which part and end sections name the one that started them, u32. */
  readonly id: number
  readonly name: string
  /** The number that tells apart sections of the same name, u32. */
  readonly instance: number
  /** The version of the section's format, u32. */
  readonly version: number
  /** The offset of its first byte in the stream. */
  readonly offset: number
  /** The length in bytes, from its mark to its footer. */
  readonly length: number
}

/**
 * An array of integers, in the byte order of this machine.
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
 * The value of a field. Integers of up to 32 bits are numbers, those of 64 bits bigints, and arrays of
 * integers typed arrays. A field of a type that is not known has its bytes from the stream.
 *
 * @group Streams
 */
export type QemuValue = number | bigint | boolean | QemuIntegers | QemuStruct | readonly QemuValue[]

/**
 * The fields and subsections of a device, of a structure in it, or of a subsection.
 *
 * @group Streams
 */
export interface QemuStruct {
  /** The name of QEMU's VMStateDescription, such as `timebase`. */
  readonly name: string
  /** The version of that description, u32; 0 for devices without one. */
  readonly version: number
  /** The fields by name, in the order of the stream. The object inherits nothing, not even `toString`. */
  readonly fields: Readonly<Record<string, QemuValue>>
  /** The subsections that the stream has. */
  readonly subsections: readonly QemuStruct[]
}

/**
 * A device: the contents of a full section.
 *
 * @group Streams
 */
export interface QemuDevice extends Omit<QemuStruct, 'name'> {
  /** The name of the section, such as `cpu` or `nvram@71000000/spapr_nvram`. */
  readonly name: string
  /** The number that tells apart devices of the same name, u32; for vCPUs from 0. */
  readonly instance: number
  /** The name of QEMU's VMStateDescription, such as `spapr_nvram`; absent for devices without one. */
  readonly vmsdName?: string
  /** The offset of its first field in the stream, in bytes. */
  readonly offset: number
  /** The length of fields and subsections, in bytes. */
  readonly length: number
}

/**
 * The timebase in a stream of a pseries guest. There are two numbers, of which one is the guest's timebase.
 *
 * It depends on what ran the guest, which the stream does not say. Under KVM take `guestTimebase`. Under
 * TCG, QEMU's emulation, take `virtualClockTimebase`.
 *
 * @group Streams
 */
export interface QemuTimebase {
  /**
   * The field `guest_timebase` of section `spapr`, u64.
   *
   * Under KVM it is the guest's timebase in ticks of 512 MHz. If the guest was stopped before it was saved,
   * QEMU computes it from the offset that it had asked for, not from the one that the kernel rounded up to a
   * whole step; then it can be up to 2^24 ticks behind what the guest has read (QEMU, hw/ppc/ppc.c:
   * timebase_save). Under TCG it is the cycle counter of the host, which has nothing to do with the guest.
   */
  readonly guestTimebase: bigint
  /** The field `time_of_the_day_ns`: the source's wall clock at that instant, ns since the epoch, i64. */
  readonly timeOfDayNs: bigint
  /**
   * QEMU's virtual clock in ticks of 512 MHz, u64: `cpu_clock_offset` of section `timer`, in ns,
   * times 512/1000, rounded down. Under TCG it is the guest's timebase. Under KVM it is only the time for
   * which the guest ran. Absent if the stream was searched.
   */
  readonly virtualClockTimebase?: bigint
  /** The offset of `guest_timebase` in the stream, in bytes. */
  readonly offset: number
  /** True if the timebase was found by searching, not by the stream's description. */
  readonly searched: boolean
}

/**
 * The contents of a migration stream of a pseries guest, without its RAM.
 *
 * @group Streams
 */
export interface QemuStream {
  /** The machine type, such as `pseries-10.0`. Absent up to pseries-2.3, and in streams of devices only. */
  readonly machine?: string
  /** The capabilities that change the format: `x-ignore-shared`, `mapped-ram`. */
  readonly capabilities: readonly string[]
  /** The guest's UUID, if the stream has it. */
  readonly uuid?: string
  /** Whether each section ends with a footer, as those of machines from pseries-2.4 on do. */
  readonly footers: boolean
  readonly ramBlocks: readonly QemuRamBlock[]
  /** The hash page table has 2^htabShift bytes. Absent if the guest uses radix, and so has no such table. */
  readonly htabShift?: number
  /** All sections in order; of part and end sections only the first 65,536. */
  readonly sections: readonly QemuSection[]
  /** The number of part sections, including those that are not listed. */
  readonly partSections: number
  /** The commands in order, those in packages included, at most the first 65,536. */
  readonly commands: readonly QemuCommand[]
  /** Whether the stream ends with a description; without one `devices` is empty. */
  readonly described: boolean
  /** All devices in order. */
  readonly devices: readonly QemuDevice[]
  readonly timebase: QemuTimebase
  /**
   * The number of bytes after the stream, such as the rest of a cluster or of a block device. Absent if there
   * are none. From a pipe no more than 64 MiB of them are counted.
   */
  readonly trailingBytes?: number
  /** The header of libvirt's save image, if the stream was in one. */
  readonly libvirt?: QemuLibvirtImage
  /** The snapshot that it was read from, if the source is a qcow2 image. */
  readonly snapshot?: QemuSnapshot
}
