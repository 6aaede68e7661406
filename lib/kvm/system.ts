import { isU64 } from '../checks.ts'
import { closed, KvmError, unavailable } from '../errors.ts'
import type { Kernel } from '../kernel/kernel.ts'
import { Descriptor } from './descriptor.ts'
import { wallClockOf } from '../kernel/wall-clock.ts'
import type { WallClock } from '../kernel/wall-clock.ts'
import { LastRegister } from './last-register.ts'
import { Scratch } from './scratch.ts'

const NS_PER_SECOND = 1_000_000_000n

/**
 * The widest bracket of a sample, in ticks. A wider one means that the second reading of the timebase
 * was less than the first, modulo 2^64.
 */
const HALF_WIDTH_LIMIT = 1n << 62n

/**
 * A host's two clocks at one instant, from {@link Host.sample}.
 *
 * @group Moving the timebase
 */
export interface TimebaseSample {
  /** The host's timebase, in ticks, u64. */
  readonly timebase: bigint
  /** CLOCK_REALTIME, in ns since the epoch, signed 64 bits. */
  readonly timeOfDayNs: bigint
  /** Ticks per second, in Hz. */
  readonly timebaseFrequency: bigint
  /** How far apart the instants of the two readings can be, in ns. */
  readonly uncertaintyNs: bigint
  /** How accurate the wall clock is, if the host's kernel tells it. */
  readonly clock?: WallClock
}

/**
 * The classes by which users hold what is open. VMs and vCPUs lead back to their host, and bound
 * registers to their vCPU, but their modules cannot import these classes, which import them. So each
 * class adds itself here, by `declare module './system.ts'` in its own module.
 */
// eslint-disable-next-line @typescript-eslint/no-empty-object-type
export interface Faces {}

/**
 * An opened /dev/kvm: the kernel and the clocks behind it, and the memory that its vCPUs' calls share.
 * {@link Host} is its public face; VMs and vCPUs hold it directly.
 */
export class KvmSystem {
  /** The object by which users hold it. VMs and vCPUs keep it from being garbage-collected and closed. */
  readonly host: Faces['host']
  /** The host's kernel; with KVM_PPC_TRACE set, one around it that prints its calls. */
  readonly kernel: Kernel
  /** The device. */
  readonly descriptor: Descriptor
  /** For calls for one register. */
  readonly last = new LastRegister()
  /** For calls for several registers. */
  readonly scratch = new Scratch()
  readonly #sample = new BigUint64Array(3)
  readonly #maxErrorUs = new BigUint64Array(1)
  #timebaseFrequency: bigint | undefined

  /**
   * @param host the object by which users hold it
   * @param kernel the host's kernel, or one around it
   * @param fd the device
   */
  constructor(host: Faces['host'], kernel: Kernel, fd: number) {
    this.host = host
    this.kernel = kernel
    this.descriptor = new Descriptor(host, 'the host', fd, { kernel })
  }

  /**
   * The device's file descriptor.
   *
   * @throws OneRegError ERR_KVM_CLOSED
   */
  checkOpen(): number {
    const { fd } = this.descriptor
    if (fd === undefined) throw closed('The host')
    return fd
  }

  /**
   * Ticks per second of the timebase, in Hz.
   *
   * @throws OneRegError ERR_KVM_UNAVAILABLE if the kernel does not tell it
   */
  get timebaseFrequency(): bigint {
    this.checkOpen()
    if (this.#timebaseFrequency === undefined) {
      const frequency = this.kernel.timebaseFrequency()
      if (frequency <= 0n || !isU64(frequency)) {
        throw unavailable(
          'no-timebase',
          'The timebase frequency of this machine is not known: neither /proc/device-tree/cpus/*/timebase-frequency nor "timebase" in /proc/cpuinfo can be read, as they can on POWER',
        )
      }
      this.#timebaseFrequency = frequency
    }
    return this.#timebaseFrequency
  }

  /**
   * The host's timebase now, in ticks, u64.
   *
   * @throws OneRegError ERR_KVM_UNAVAILABLE on a processor that has none
   */
  timebase(): bigint {
    this.checkOpen()
    const ticks = this.kernel.timebase()
    if (ticks < 0n) throw noTimebase(Number(ticks))
    return ticks
  }

  /**
   * The timebase and the wall clock of one instant.
   *
   * @throws OneRegError ERR_KVM_UNAVAILABLE on a processor without a timebase, or with one that goes back
   * @throws KvmError
   */
  sample(): TimebaseSample {
    const { timebaseFrequency } = this
    const result = this.kernel.sample(this.#sample)
    if (result < 0) throw new KvmError(result, { operation: 'clock_gettime' })
    const timebase = this.#sample[0] ?? 0n
    const timeOfDay = this.#sample[1] ?? 0n
    const halfWidth = this.#sample[2] ?? 0n
    if (halfWidth >= HALF_WIDTH_LIMIT) {
      throw unavailable(
        'unsteady-timebase',
        "This host's timebase went back while it was read, so no time can be kept by it",
      )
    }
    const timeOfDayNs = BigInt.asIntN(64, timeOfDay)
    // Rounded up: an uncertainty is a bound.
    const uncertaintyNs = (halfWidth * NS_PER_SECOND + timebaseFrequency - 1n) / timebaseFrequency
    const clock = this.#wallClock()
    return clock === undefined
      ? { timebase, timeOfDayNs, timebaseFrequency, uncertaintyNs }
      : { timebase, timeOfDayNs, timebaseFrequency, uncertaintyNs, clock }
  }

  /** How accurate the wall clock is; undefined if that is not known, which is not an error. */
  #wallClock(): WallClock | undefined {
    const { kernel } = this
    if (kernel.clockState === undefined) return undefined
    return wallClockOf(kernel.clockState(this.#maxErrorUs), this.#maxErrorUs[0] ?? 0n)
  }

  /** Closes one of the system's descriptors: the device, a VM or a vCPU. */
  close(descriptor: Descriptor): void {
    this.last.forget()
    descriptor.close()
  }
}

function noTimebase(errno: number): Error {
  return unavailable(
    'no-timebase',
    `This processor has no timebase to read: mftb is an instruction of POWER, and this is ${process.arch}`,
    new KvmError(errno, { operation: 'mftb' }),
  )
}
