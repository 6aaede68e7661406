import { inspect } from 'node:util'
import { actualBackend, chosenBackend } from '../kernel/backend.ts'
import type { Backend } from '../kernel/backend.ts'
import { OneRegBatch } from '../kernel/batch.ts'
import { checkInteger, checkObject, checkOptionNames, wrongType, wrongValue } from '../checks.ts'
import { KvmError, unavailable } from '../errors.ts'
import type { OneRegError } from '../errors.ts'
import { errnos } from '../errno.ts'
import { inWords } from './descriptor.ts'
import { uninterrupted } from './one-reg.ts'
import type { Kernel } from '../kernel/kernel.ts'
import { NativeKernel } from '../kernel/native.ts'
import { SoftwareKernel } from '../kernel/software/kernel.ts'
import { KvmSystem } from './system.ts'
import type { TimebaseSample } from './sample.ts'
import { traced } from '../kernel/trace.ts'
import { Vcpu } from './vcpu.ts'
import { Vm } from './vm.ts'

/** KVM_CAP_ONE_REG of include/uapi/linux/kvm.h. */
const KVM_CAP_ONE_REG = 70
const DEFAULT_DEVICE = '/dev/kvm'

/**
 * The options of {@link openHost}.
 *
 * @group Hosts and vCPUs
 */
export interface HostOptions {
  /**
   * `'kvm'` is the real kernel, `'software'` the model. `'auto'` is KVM on little-endian ppc64 Linux, and on
   * other machines the model, with one process warning. The default is the environment variable
   * KVM_PPC_BACKEND, or `'auto'`.
   */
  readonly backend?: Backend
  /** The device to open. The default is `/dev/kvm`. */
  readonly device?: string
}

/**
 * Opens KVM, or the model if this machine is not a POWER host.
 *
 * On a POWER host the model is never opened instead of a device that is missing or forbidden: that is an
 * error, which says what to do.
 *
 * @param options the backend and the device; none is needed
 * @throws TypeError ERR_INVALID_ARG_VALUE for an unknown backend or option
 * @throws OneRegError ERR_KVM_UNAVAILABLE if the device or the addon is missing or forbidden, or the device is
 *   not KVM with ONE_REG (Linux 3.3)
 * @example
 * ```ts
 * using host = openHost()
 * const vcpu = host.createVm().createVcpu(0)
 * vcpu.set('DAR', 0x1000n)
 * ```
 * @group Hosts and vCPUs
 */
export function openHost(options: HostOptions = {}): Host {
  checkObject('options', options)
  checkOptionNames('options', options, ['backend', 'device'])
  const { device = DEFAULT_DEVICE } = options
  if (typeof device !== 'string') throw wrongType('options.device', 'a string', device)
  return new Host(kernelFor(options.backend), device)
}

/** The one native kernel, shared by all hosts since V8 optimises calls to the same functions best. */
let nativeKernel: NativeKernel | undefined

function kernelFor(option: Backend | undefined): Kernel {
  if (actualBackend(option) === 'kvm') return (nativeKernel ??= compiled(new NativeKernel()))
  if (chosenBackend(option) === 'auto') warnOfModel()
  return new SoftwareKernel()
}

/** Makes the calls of a save and a load for no register, so that V8 compiles them now and no guest waits for it. */
function compiled(kernel: NativeKernel): NativeKernel {
  const none = new OneRegBatch(0)
  kernel.getOneRegs(none)
  kernel.setOneRegs(none)
  kernel.sample(new BigUint64Array(3))
  return kernel
}

let warned = false

function warnOfModel(): void {
  if (warned) return
  warned = true
  process.emitWarning(
    `This machine (${process.platform}-${process.arch}) is not a POWER host, so a software model is used instead of KVM. ` +
      `Use openHost({ backend: 'software' }) or KVM_PPC_BACKEND=software to ask for the model without this warning`,
    { type: 'KvmPpcWarning', code: 'KVM_PPC_SOFTWARE_MODEL' },
  )
}

declare module './system.ts' {
  interface Faces {
    host: Host
  }
}

/**
 * A host that runs guests: /dev/kvm, and the timebase of the machine.
 *
 * It owns the VMs and vCPUs that are created through it: closing it closes them. The descriptor of a borrowed
 * vCPU stays open.
 *
 * A host, VM or vCPU that is garbage-collected before it was closed is closed then, with the process
 * warning KVM_PPC_UNCLOSED. So keep the object for as long as other code uses its descriptor. A vCPU keeps
 * its VM alive, and a VM its host, but not the other way round.
 *
 * @group Hosts and vCPUs
 */
export class Host {
  /** The kernel that the constructor got, or that {@link openHost} chose. */
  declare readonly kernel: Kernel
  /** @internal */
  declare readonly system: KvmSystem

  /**
   * @param kernel any kernel, such as a {@link SoftwareKernel} in a test
   * @param device the device to open
   * @throws OneRegError ERR_KVM_UNAVAILABLE, as {@link openHost}
   */
  constructor(kernel: Kernel, device = DEFAULT_DEVICE) {
    this.kernel = kernel
    const calls = traced(kernel)
    this.system = new KvmSystem(this, calls, openDevice(calls, device))
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
    return this.system.checkOpen()
  }

  /** Whether {@link close} has been called. */
  get closed(): boolean {
    return this.system.descriptor.fd === undefined
  }

  /**
   * Ticks per second of the timebase, in Hz: 512000000n on POWER servers.
   *
   * @throws OneRegError ERR_KVM_UNAVAILABLE if the kernel does not tell the frequency; it is never guessed
   */
  get timebaseFrequency(): bigint {
    return this.system.timebaseFrequency
  }

  /**
   * The host's timebase now, in ticks, u64 (`mftb`).
   *
   * @throws OneRegError ERR_KVM_UNAVAILABLE on a processor without a timebase
   */
  timebase(): bigint {
    return this.system.timebase()
  }

  /**
   * Reads the timebase and the wall clock at the same instant, and how accurate that is: one native call reads
   * the wall clock between two readings of the timebase.
   *
   * @throws OneRegError ERR_KVM_UNAVAILABLE on a processor without a timebase, or with one that goes back
   */
  sample(): TimebaseSample {
    return this.system.sample()
  }

  /**
   * KVM_CHECK_EXTENSION: 0 if this kernel lacks the capability, else 1, or a number such as a maximum.
   *
   *     const mostVcpus = host.checkExtension(66) // KVM_CAP_MAX_VCPUS
   *
   * @param extension the number of a KVM_CAP_* of include/uapi/linux/kvm.h
   * @throws KvmError
   */
  checkExtension(extension: number): number {
    checkInteger('extension', extension)
    const result = this.system.kernel.checkExtension(this.fd, extension)
    if (result < 0) throw new KvmError(result, { operation: 'KVM_CHECK_EXTENSION' })
    return result
  }

  /**
   * KVM_CREATE_VM: creates a VM without memory or devices. The kernel chooses its type: HV if it can.
   *
   * @throws KvmError
   */
  createVm(): Vm {
    const { system, fd: device } = this
    const fd = uninterrupted(() => system.kernel.createVm(device, 0))
    if (fd < 0) throw new KvmError(fd, { operation: 'KVM_CREATE_VM' })
    return new Vm(system, fd)
  }

  /**
   * Borrows a vCPU that the caller's own monitor created, and never closes it. Call it in the process that
   * created the VM, and keep the descriptor open for as long as the result is used. A vCPU that this library
   * created may be borrowed too: the calls off the JavaScript thread of both objects then share one order,
   * and closing the first closes the borrowed one.
   *
   *     const vcpu = host.vcpu(vcpuFd, 0)
   *
   * @param fd the vCPU's file descriptor
   * @param id the vCPU's id, as it was given to KVM_CREATE_VCPU
   * @throws TypeError ERR_INVALID_ARG_VALUE if the descriptor is not that vCPU's
   * @throws KvmError EBADF if it is closed, EACCES if /proc/self/fd cannot be read
   */
  vcpu(fd: number, id: number): Vcpu {
    this.system.checkOpen()
    checkInteger('fd', fd)
    checkInteger('id', id)
    const link = this.system.kernel.describe(fd)
    if (typeof link === 'number') throw new KvmError(link, { operation: 'readlink', vcpu: id })
    // Kernels before 4.17 do not add the id.
    const named = /^anon_inode:kvm-vcpu(?::(\d+))?$/.exec(link)
    if (named === null) throw wrongValue('fd', 'the file descriptor of a vCPU', `${fd}: ${link}`)
    if (named[1] !== undefined && Number(named[1]) !== id) {
      throw wrongValue('id', `${named[1]}, the id of the vCPU behind fd ${fd}`, id)
    }
    return new Vcpu(this.system, fd, id)
  }

  /** Closes the VMs and vCPUs that were created through this host, and the device. Closing twice does nothing. */
  close(): void {
    this.system.close(this.system.descriptor)
  }

  /** {@link close}, for `using`. */
  [Symbol.dispose](): void {
    this.close()
  }

  /** @internal One line for console.log, without what is private. */
  [inspect.custom](): string {
    return `Host ${inWords(this.system.descriptor, this.system)}`
  }
}

/** Opens the device and checks that it is KVM with ONE_REG. */
function openDevice(kernel: Kernel, device: string): number {
  const fd = uninterrupted(() => kernel.open(device))
  if (fd < 0) throw notOpened(device, fd)
  const oneReg = kernel.checkExtension(fd, KVM_CAP_ONE_REG)
  if (oneReg > 0) return fd
  kernel.close(fd)
  throw oneReg === 0
    ? unavailable(
        'no-one-reg',
        `The KVM behind ${device} has no ONE_REG (KVM_CAP_ONE_REG, Linux 3.3)`,
      )
    : unavailable(
        'not-kvm',
        `${device} is not a KVM device: that is /dev/kvm`,
        new KvmError(oneReg, { operation: 'KVM_CHECK_EXTENSION' }),
      )
}

function notOpened(device: string, result: number): OneRegError {
  const cause = new KvmError(result, { operation: 'open' })
  const module = process.arch === 'ppc64' ? 'kvm_hv' : 'kvm'
  switch (-result) {
    case errnos.ENOENT:
      return unavailable(
        'no-device',
        `${device} does not exist: load the kernel's KVM module (modprobe ${module}), and in a container pass the device in`,
        cause,
      )
    case errnos.EACCES:
    case errnos.EPERM:
      return unavailable(
        'no-permission',
        `${device} may not be opened for reading and writing: add this user to the group kvm (usermod -aG kvm $USER, then log in again)`,
        cause,
      )
    case errnos.ENODEV:
    case errnos.ENXIO:
      return unavailable(
        'no-driver',
        `${device} has no driver: load the kernel's KVM module (modprobe ${module}); the processor must be in hypervisor mode or nested KVM allowed`,
        cause,
      )
    default:
      return unavailable('not-opened', `${device} could not be opened`, cause)
  }
}
