import { isU64 } from '../checks.ts'
import { closed, KvmError, unavailable } from '../errors.ts'
import type { Kernel } from '../kernel/kernel.ts'
import { NativeKernel } from '../kernel/native.ts'
import { Descriptor } from './descriptor.ts'
import { LastRegister } from './last-register.ts'
import { ClockWords, takeSample } from './sample.ts'
import type { TimebaseSample } from './sample.ts'
import { Scratch } from './scratch.ts'

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
  last = new LastRegister()
  /** For calls for several registers. */
  readonly scratch = new Scratch()
  readonly #clocks = new ClockWords()
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
   * Prepares {@link last} for another register or vCPU.
   *
   * @param descriptor the vCPU's
   * @param fd its number
   * @throws TypeError for an unknown name
   */
  select(descriptor: Descriptor, fd: number, name: unknown): LastRegister {
    // Other kernels may run the caller's code during a call, as ObservedKernel does, and it may read another
    // register. So the memory of a call that has begun is left to it.
    const isReal = Object.getPrototypeOf(this.kernel) === NativeKernel.prototype
    if (!isReal) this.last = new LastRegister()
    this.last.select(descriptor, fd, name)
    return this.last
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
      if (frequency <= 0n || !isU64(frequency)) throw noFrequency()
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
    return takeSample(this.kernel, this.timebaseFrequency, this.#clocks)
  }

  /** Closes one of the system's descriptors: the device, a VM or a vCPU. */
  close(descriptor: Descriptor): void {
    this.last.forget()
    descriptor.close()
  }
}

function noFrequency(): Error {
  return unavailable(
    'no-timebase',
    'The timebase frequency of this machine is not known: neither /proc/device-tree/cpus/*/timebase-frequency nor "timebase" in /proc/cpuinfo can be read, as they can on POWER',
  )
}

function noTimebase(errno: number): Error {
  return unavailable(
    'no-timebase',
    `This processor has no timebase to read: mftb is an instruction of POWER, and this is ${process.arch}`,
    new KvmError(errno, { operation: 'mftb' }),
  )
}
