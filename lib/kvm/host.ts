import { actualBackend, chosenBackend } from '../kernel/backend.ts'
import type { Backend } from '../kernel/backend.ts'
import {
  checkInteger,
  checkObject,
  checkOptionNames,
  isU64,
  wrongType,
  wrongValue,
} from '../checks.ts'
import { Descriptor } from './descriptor.ts'
import { closed, KvmError, unavailable } from '../errors.ts'
import { errnos } from '../errno.ts'
import { uninterrupted } from './one-reg.ts'
import type { Kernel } from '../kernel/kernel.ts'
import { NativeKernel } from '../kernel/native.ts'
import { OneRegister } from './last-register.ts'
import type { RegisterName } from '../registers.ts'
import { Scratch } from './scratch.ts'
import { SoftwareKernel } from '../kernel/software/kernel.ts'
import type { TimebaseSample } from '../timebase/plan.ts'
import { TimerMemory } from '../timebase/timers.ts'
import { traced } from '../kernel/trace.ts'
import { Vcpu } from './vcpu.ts'
import { Vm } from './vm.ts'

/** KVM_CAP_ONE_REG of include/uapi/linux/kvm.h. */
const KVM_CAP_ONE_REG = 70
const NS_PER_SECOND = 1_000_000_000n
/** Of the bracket of a sample, in ticks: more is a second reading that is less than the first, modulo 2^64. */
const HALF_WIDTH_LIMIT = 1n << 62n
const DEFAULT_DEVICE = '/dev/kvm'

/** What {@link openHost} is to open. */
export interface HostOptions {
  /**
   * `'kvm'`: the real kernel; `'software'`: the model of it; `'auto'`, the default: KVM on
   * little-endian ppc64 Linux, the model elsewhere, with one process warning.
   * The environment variable KVM_PPC_BACKEND sets the default.
   */
  readonly backend?: Backend
  /** The device to open: `/dev/kvm` unless told. */
  readonly device?: string
}

/**
 * Opens KVM, or the model of it where this machine is no POWER host.
 *
 * On POWER a missing or forbidden device is an error that says what to do, never the model.
 *
 * @throws TypeError ERR_INVALID_ARG_VALUE for an unknown backend or option
 * @throws OneRegError ERR_KVM_UNAVAILABLE if the device or the addon is not there, is not allowed, or
 *   is not KVM with ONE_REG (Linux 3.3)
 */
export function openHost(options: HostOptions = {}): Host {
  checkObject('options', options)
  checkOptionNames('options', options, ['backend', 'device'])
  const { device = DEFAULT_DEVICE } = options
  if (typeof device !== 'string') throw wrongType('options.device', 'a string', device)
  return new Host(kernelFor(options.backend), device)
}

/** One for all hosts, so that its calls are the same functions: that is how they cost least. */
let nativeKernel: NativeKernel | undefined

function kernelFor(option: Backend | undefined): Kernel {
  if (actualBackend(option) === 'kvm') return (nativeKernel ??= new NativeKernel())
  if (chosenBackend(option) === 'auto') warnOfModel()
  return new SoftwareKernel()
}

let warned = false

function warnOfModel(): void {
  if (warned) return
  warned = true
  process.emitWarning(
    `This is ${process.platform}-${process.arch}, no POWER host: a software model stands in for KVM. ` +
      `openHost({ backend: 'software' }) or KVM_PPC_BACKEND=software says that it is meant`,
    { type: 'KvmPpcWarning', code: 'KVM_PPC_SOFTWARE_MODEL' },
  )
}

/**
 * A host that runs guests: /dev/kvm, and the timebase of the machine.
 *
 * It owns what is made through it: closing it closes its VMs and their vCPUs. A vCPU that was
 * borrowed is let go and stays open.
 *
 * A host, VM or vCPU that is garbage-collected before it is closed is closed then, with the process
 * warning KVM_PPC_UNCLOSED: so keep the object for as long as its number is used elsewhere. A VM
 * keeps its host, and a vCPU its VM, not the other way round.
 */
export class Host {
  /** The kernel that this host's calls go to; with KVM_PPC_TRACE set, by way of one that prints them. */
  declare readonly kernel: Kernel
  /** @internal Registers that this kernel said it does not know: snapshots do not ask again. */
  readonly unknownRegisters = new Set<RegisterName>()
  /** @internal */
  readonly one = new OneRegister()
  /** @internal For the registers of one call, */
  readonly scratch = new Scratch()
  /** @internal and for those of a whole guest. */
  readonly timers = new TimerMemory()
  readonly #sample = new BigUint64Array(3)
  readonly #descriptor: Descriptor
  #timebaseFrequency: bigint | undefined

  /**
   * @param kernel any kernel: a {@link SoftwareKernel} for a test
   * @throws OneRegError ERR_KVM_UNAVAILABLE, as {@link openHost}
   */
  constructor(kernel: Kernel, device = DEFAULT_DEVICE) {
    this.kernel = kernel = traced(kernel)
    const fd = uninterrupted(() => kernel.open(device))
    if (fd < 0) throw unavailable(whyNotOpened(device, fd), new KvmError(fd, { operation: 'open' }))
    const oneReg = kernel.checkExtension(fd, KVM_CAP_ONE_REG)
    if (oneReg <= 0) {
      kernel.close(fd)
      throw oneReg === 0
        ? unavailable(`The KVM behind ${device} has no ONE_REG (KVM_CAP_ONE_REG, Linux 3.3)`)
        : unavailable(
            `${device} is not a KVM device: that is /dev/kvm`,
            new KvmError(oneReg, { operation: 'KVM_CHECK_EXTENSION' }),
          )
    }
    const file = kernel.describe(fd)
    this.#descriptor = new Descriptor(this, 'the host', fd, {
      kernel,
      file: typeof file === 'string' ? file : undefined,
    })
  }

  /** `'kvm'` for the real kernel, `'software'` for the model. */
  get backend(): 'kvm' | 'software' {
    return this.kernel.backend
  }

  /**
   * The file descriptor of the device.
   *
   * @throws OneRegError ERR_KVM_CLOSED
   */
  get fd(): number {
    const { fd } = this.#descriptor
    if (fd === undefined) throw closed('The host')
    return fd
  }

  /** Whether {@link close} has been called. */
  get closed(): boolean {
    return this.#descriptor.fd === undefined
  }

  /**
   * Ticks per second of the timebase, in Hz: 512000000n on POWER servers.
   *
   * @throws OneRegError ERR_KVM_UNAVAILABLE if the kernel does not tell it: it is never guessed
   */
  get timebaseFrequency(): bigint {
    this.#checkOpen()
    if (this.#timebaseFrequency === undefined) {
      const frequency = this.kernel.timebaseFrequency()
      if (frequency <= 0n || !isU64(frequency)) {
        throw unavailable(
          'The timebase frequency of this machine is not known: neither /proc/device-tree/cpus/*/timebase-frequency nor "timebase" in /proc/cpuinfo can be read, as they can on POWER',
        )
      }
      this.#timebaseFrequency = frequency
    }
    return this.#timebaseFrequency
  }

  /**
   * The host's timebase now, in ticks, u64 (`mftb`).
   *
   * @throws OneRegError ERR_KVM_UNAVAILABLE on a processor that has none
   */
  timebase(): bigint {
    this.#checkOpen()
    const ticks = this.kernel.timebase()
    if (ticks < 0n) throw noTimebase(Number(ticks))
    return ticks
  }

  /**
   * The timebase and the wall clock of one instant, with how closely they belong together: both are
   * read in one native call, the one bracketed by two readings of the other.
   *
   * @throws OneRegError ERR_KVM_UNAVAILABLE on a processor without a timebase, or with one that goes back
   */
  sample(): TimebaseSample {
    const timebaseFrequency = this.timebaseFrequency
    const result = this.kernel.sample(this.#sample)
    if (result < 0) throw new KvmError(result, { operation: 'clock_gettime' })
    const [timebase = 0n, timeOfDay = 0n, halfWidth = 0n] = this.#sample
    if (halfWidth >= HALF_WIDTH_LIMIT) {
      throw unavailable(
        "This host's timebase went back while it was read, so no time can be kept by it",
      )
    }
    return {
      timebase,
      timeOfDayNs: BigInt.asIntN(64, timeOfDay),
      timebaseFrequency,
      // Rounded up: an uncertainty is a bound.
      uncertaintyNs: (halfWidth * NS_PER_SECOND + timebaseFrequency - 1n) / timebaseFrequency,
    }
  }

  /**
   * KVM_CHECK_EXTENSION: 0 if this kernel lacks the capability, else 1 or what it counts.
   *
   * @param extension the number of a KVM_CAP_* of include/uapi/linux/kvm.h
   * @throws KvmError
   */
  checkExtension(extension: number): number {
    const result = this.kernel.checkExtension(this.fd, checkInteger('extension', extension))
    if (result < 0) throw new KvmError(result, { operation: 'KVM_CHECK_EXTENSION' })
    return result
  }

  /**
   * KVM_CREATE_VM: a VM without memory or devices. The kernel chooses its type: HV where it can.
   *
   * @throws KvmError
   */
  createVm(): Vm {
    const { kernel, fd: device } = this
    const fd = uninterrupted(() => kernel.createVm(device, 0))
    if (fd < 0) throw new KvmError(fd, { operation: 'KVM_CREATE_VM' })
    return new Vm(this, fd, this.#descriptor)
  }

  /**
   * Borrows a vCPU that the caller's own monitor made: it is never closed here. The caller keeps
   * the descriptor open for as long as this object is used, in the process that made the VM.
   *
   * @param fd the vCPU's file descriptor
   * @param id the vCPU's id, as it was given to KVM_CREATE_VCPU
   * @throws TypeError ERR_INVALID_ARG_VALUE if the descriptor is not that vCPU's
   * @throws KvmError EBADF if it is closed, EACCES if /proc/self/fd cannot be read
   */
  vcpu(fd: number, id: number): Vcpu {
    this.#checkOpen()
    checkInteger('fd', fd)
    checkInteger('id', id)
    const link = this.kernel.describe(fd)
    if (typeof link === 'number') throw new KvmError(link, { operation: 'readlink', vcpu: id })
    // Kernels before 4.17 do not add the id.
    const named = /^anon_inode:kvm-vcpu(?::(\d+))?$/.exec(link)
    if (named === null) throw wrongValue('fd', 'the file descriptor of a vCPU', `${fd}: ${link}`)
    if (named[1] !== undefined && Number(named[1]) !== id) {
      throw wrongValue('id', `${named[1]}, the id of the vCPU behind fd ${fd}`, id)
    }
    return new Vcpu(this, fd, id)
  }

  /** Closes the VMs and vCPUs made through this host, and the device. Closing twice does nothing. */
  close(): void {
    this.one.forget()
    this.#descriptor.close()
  }

  /** {@link close}, for `using`. */
  [Symbol.dispose](): void {
    this.close()
  }

  #checkOpen(): void {
    if (this.closed) throw closed('The host')
  }
}

function noTimebase(errno: number): Error {
  return unavailable(
    `This processor has no timebase to read: mftb is an instruction of POWER, and this is ${process.arch}`,
    new KvmError(errno, { operation: 'mftb' }),
  )
}

function whyNotOpened(device: string, result: number): string {
  const module = process.arch === 'ppc64' ? 'kvm_hv' : 'kvm'
  switch (-result) {
    case errnos.ENOENT:
      return `${device} does not exist: load the kernel's KVM module (modprobe ${module}), and in a container pass the device in`
    case errnos.EACCES:
    case errnos.EPERM:
      return `${device} may not be opened for reading and writing: add this user to the group kvm (usermod -aG kvm $USER, then log in again)`
    case errnos.ENODEV:
    case errnos.ENXIO:
      return `${device} has no driver: load the kernel's KVM module (modprobe ${module}); the processor must be in hypervisor mode or nested KVM allowed`
    default:
      return `${device} could not be opened`
  }
}
