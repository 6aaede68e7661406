import { endianness } from 'node:os'
import { setImmediate } from 'node:timers/promises'
import { checkBatch, OneRegBatch } from '../batch.ts'
import {
  checkBytes,
  checkInteger,
  checkObject,
  checkOptionNames,
  checkWord,
  checkWords,
  checkU64,
  outOfRange,
  wrongType,
} from '../../checks.ts'
import { errnos } from '../../errno.ts'
import type { Kernel } from '../kernel.ts'
import { registerSize } from '../../registers.ts'
import type { RegisterName } from '../../registers.ts'
import { capabilitiesOf } from './capabilities.ts'
import { SoftwareClock } from './clock.ts'
import type { SoftwareClockOptions } from './clock.ts'
import { linuxVersions, machines, rulesOf } from './machine.ts'
import type { MachineRules, ModelledLinux, ModelledMachine } from './machine.ts'
import { SoftwareVcpu } from './vcpu.ts'
import type { SoftwareVm } from './vcpu.ts'
import { lookUp } from '../../register-values.ts'

const LITTLE_ENDIAN = endianness() === 'LE'
const MAX_REGISTER_SIZE = 16

/** KVM_MAX_VCPUS on POWER. Higher ids are refused, and so is this one. */
const MAX_VCPU_ID = 2048

/**
 * The host that a {@link SoftwareKernel} models.
 *
 * @group Kernels and batches
 */
export interface SoftwareKernelOptions extends SoftwareClockOptions {
  /** The version of Linux. The default is `'6.12'`. */
  readonly linux?: ModelledLinux
  /**
   * The machine. `pseries` is a logical partition, `powernv` bare metal; they differ in the values that LPCR,
   * ARCH_COMPAT and a few other registers accept. The default is `'pseries POWER9'`.
   */
  readonly machine?: ModelledMachine
  /** More registers that this kernel lacks: DEC_EXPIRY before Linux 4.16, also TB_OFFSET under PR KVM. */
  readonly without?: readonly RegisterName[]
  /**
   * How many vCPUs with consecutive ids share a virtual core, and so one TB_OFFSET. The default is 1, as on
   * POWER9 and later; on POWER7 and POWER8 it can be up to 8.
   */
  readonly threadsPerCore?: number
}

type File =
  | { readonly kind: 'kvm' }
  | { readonly kind: 'vm'; readonly vm: SoftwareVm }
  | { readonly kind: 'vcpu'; readonly vcpu: SoftwareVcpu }
  | { readonly kind: 'other' }

/**
 * A model of Linux's KVM on a POWER host, for tests on any machine. It behaves as the chosen Linux was
 * measured to behave on the chosen machine, down to the errors.
 *
 * Its file descriptors are numbers of its own, not open files of the process. It has the devices /dev/kvm
 * and /dev/null.
 *
 * @group Kernels and batches
 */
export class SoftwareKernel implements Kernel {
  readonly backend = 'software'
  /** The version of Linux. */
  readonly linux: ModelledLinux
  /** The machine. */
  readonly machine: ModelledMachine
  /** The host's timebase and wall clock. Two models have different clocks, like two hosts. */
  readonly clock: SoftwareClock
  readonly #files = new Map<number, File>()
  readonly #fileIds = new WeakMap<object, number>()
  #opened = 0
  readonly #rules: MachineRules
  readonly #capabilities: ReadonlyMap<number, number>
  readonly #threadsPerCore: number
  #calls = 0

  /**
   * @param options the Linux version and machine to model, and the initial values of the clocks
   * @throws TypeError, RangeError for an option of the wrong type or range
   */
  constructor(options: SoftwareKernelOptions = {}) {
    checkOptionNames('options', checkObject('options', options), [
      'timebaseFrequency',
      'timebase',
      'timeOfDayNs',
      'time',
      'wallClock',
      'linux',
      'machine',
      'without',
      'threadsPerCore',
    ])
    this.clock = new SoftwareClock(options)
    const { linux = '6.12', machine = 'pseries POWER9', without = [] } = options
    this.linux = checkWord('linux', linux, linuxVersions)
    this.machine = checkWord('machine', machine, machines)
    for (const name of without) lookUp(name)
    const rules = rulesOf(machine, linux)
    this.#rules = { ...rules, missing: new Set([...rules.missing, ...without]) }
    this.#capabilities = capabilitiesOf(machine, linux)
    this.#threadsPerCore = checkInteger('threadsPerCore', options.threadsPerCore ?? 1)
    if (this.#threadsPerCore === 0) throw outOfRange('threadsPerCore', '1 or more', 0)
  }

  /** How many system calls were made so far. Each entry of a batch counts. */
  get calls(): number {
    return this.#calls
  }

  open(path: string): number {
    if (typeof path !== 'string') throw wrongType('path', 'a string', path)
    if (path.includes('\0')) throw outOfRange('path', 'free of null bytes', path)
    this.#calls++
    if (path === '/dev/kvm') return this.#newFile({ kind: 'kvm' })
    if (path === '/dev/null') return this.#newFile({ kind: 'other' })
    return -errnos.ENOENT
  }

  close(fd: number): number {
    checkInteger('fd', fd)
    this.#calls++
    return this.#files.delete(fd) ? 0 : -errnos.EBADF
  }

  describe(fd: number): string | number {
    checkInteger('fd', fd)
    this.#calls++
    const file = this.#files.get(fd)
    switch (file?.kind) {
      case undefined:
        return -errnos.EBADF
      case 'kvm':
        return '/dev/kvm'
      case 'vm':
        return 'anon_inode:kvm-vm'
      case 'vcpu':
        return `anon_inode:kvm-vcpu:${file.vcpu.id}`
      case 'other':
        return '/dev/null'
    }
  }

  fileId(fd: number): number {
    return this.#fileIds.get(this.#files.get(checkInteger('fd', fd)) ?? {}) ?? 0
  }

  checkExtension(fd: number, extension: number): number {
    checkInteger('fd', fd)
    checkInteger('extension', extension)
    const file = this.#ioctl(fd)
    if (typeof file === 'number') return file
    if (file.kind === 'vcpu') return -errnos.EINVAL
    return this.#capabilities.get(extension) ?? 0
  }

  createVm(fd: number, type: number): number {
    checkInteger('fd', fd)
    checkInteger('type', type)
    const file = this.#ioctl(fd)
    if (typeof file === 'number') return file
    if (file.kind === 'vm') return -errnos.ENOTTY
    // Type 0 lets the kernel choose, and 1 is HV. PR, type 2, is not loaded.
    if (file.kind === 'vcpu' || type > 1) return -errnos.EINVAL
    return this.#newFile({
      kind: 'vm',
      vm: {
        vcpuIds: new Set(),
        values: new Map(),
        cores: new Map(),
        below: { timebaseOffset: 0n, level: undefined },
      },
    })
  }

  createVcpu(fd: number, id: number): number {
    checkInteger('fd', fd)
    checkInteger('id', id)
    const file = this.#ioctl(fd)
    if (typeof file === 'number') return file
    if (file.kind !== 'vm') return -errnos.EINVAL
    const { vm } = file
    if (id >= MAX_VCPU_ID) return -errnos.EINVAL
    if (vm.vcpuIds.has(id)) return this.#rules.idTaken
    // Closing the vCPU does not free its id: the VM keeps it until it is destroyed.
    vm.vcpuIds.add(id)
    const core = Math.floor(id / this.#threadsPerCore)
    const vcpu = new SoftwareVcpu(id, core, vm, () => this.clock.timebase(), this.#rules)
    return this.#newFile({ kind: 'vcpu', vcpu })
  }

  getOneReg(fd: number, id: bigint, value: Uint8Array): number {
    checkOneReg(fd, id, value)
    return this.#getOneReg(fd, id, value)
  }

  setOneReg(fd: number, id: bigint, value: Uint8Array): number {
    checkOneReg(fd, id, value)
    return this.#setOneReg(fd, id, value)
  }

  getOneRegs(batch: OneRegBatch): number {
    return forEachEntry(batch, (fd, id, value) => this.#getOneReg(fd, id, value))
  }

  setOneRegs(batch: OneRegBatch): number {
    return forEachEntry(batch, (fd, id, value) => this.#setOneReg(fd, id, value))
  }

  async getOneRegsAsync(batch: OneRegBatch): Promise<number> {
    const copy = await offThread(batch, (copy) => this.getOneRegs(copy))
    batch.values.set(copy.values)
    return 0
  }

  async setOneRegsAsync(batch: OneRegBatch): Promise<number> {
    await offThread(batch, (copy) => this.setOneRegs(copy))
    return 0
  }

  /**
   * Models KVM_RUN: the vCPU enters its guest and leaves it. No instruction of a guest is carried out; only
   * the registers change that are sent to a hypervisor below and read back from it, on `papr`.
   *
   * @param fd the file descriptor of the vCPU
   * @returns 0 or `-errno`
   */
  run(fd: number): number {
    checkInteger('fd', fd)
    const vcpu = this.#vcpu(fd)
    if (typeof vcpu === 'number') return vcpu
    vcpu.run()
    return 0
  }

  /**
   * The offset with which a guest reads its timebase once this vCPU runs. It is TB_OFFSET, but on `papr` that
   * of the vCPU that was last set and then run, whatever {@link getOneReg} says of the others.
   *
   * @param fd the file descriptor of the vCPU
   * @returns ticks, u64, or `-errno`
   */
  guestOffset(fd: number): bigint {
    checkInteger('fd', fd)
    const vcpu = this.#vcpu(fd)
    return typeof vcpu === 'number' ? BigInt(vcpu) : vcpu.offsetOnRun
  }

  timebase(): bigint {
    this.#calls++
    return this.clock.timebase()
  }

  timebaseFrequency(): bigint {
    return this.clock.timebaseFrequency
  }

  /** The model reads both clocks at the same instant, so the half-width of the bracket is 0. */
  sample(into: BigUint64Array): number {
    checkWords(into, 3)
    this.#calls++
    const { timebase, timeOfDayNs } = this.clock.sample()
    into.set([timebase, BigInt.asUintN(64, timeOfDayNs), 0n])
    return 0
  }

  clockState(into: BigUint64Array): number {
    checkWords(into, 1)
    this.#calls++
    return this.clock.state(into)
  }

  #getOneReg(fd: number, id: bigint, value: Uint8Array): number {
    const vcpu = this.#vcpu(fd)
    if (typeof vcpu === 'number') return vcpu
    const held = vcpu.get(id)
    if (held < 0n) return Number(held)
    writeBytes(value, held)
    return 0
  }

  #setOneReg(fd: number, id: bigint, value: Uint8Array): number {
    const vcpu = this.#vcpu(fd)
    return typeof vcpu === 'number' ? vcpu : vcpu.set(id, readBytes(value))
  }

  #vcpu(fd: number): SoftwareVcpu | number {
    const file = this.#ioctl(fd)
    if (typeof file === 'number') return file
    if (file.kind === 'vm') return -errnos.ENOTTY
    return file.kind === 'vcpu' ? file.vcpu : -errnos.EINVAL
  }

  /** Counts an ioctl, and returns the file of the descriptor, or `-errno`. */
  #ioctl(fd: number): Exclude<File, { kind: 'other' }> | number {
    this.#calls++
    const file = this.#files.get(fd)
    if (file === undefined) return -errnos.EBADF
    return file.kind === 'other' ? -errnos.ENOTTY : file
  }

  /** Returns the lowest free number, as Unix does; 0 to 2 are taken. */
  #newFile(file: File): number {
    let fd = 3
    while (this.#files.has(fd)) fd++
    this.#files.set(fd, file)
    this.#fileIds.set(file, ++this.#opened)
    return fd
  }
}

function checkOneReg(fd: number, id: bigint, value: Uint8Array): void {
  checkInteger('fd', fd)
  checkU64('id', id)
  checkBytes('value', value, registerSize(id))
}

function forEachEntry(
  batch: OneRegBatch,
  call: (fd: number, id: bigint, value: Uint8Array) => number,
): number {
  const { used, fds, ids, results } = checkBatch(batch)
  let failure = 0
  for (let index = 0; index < used; index++) {
    const id = ids[index] ?? 0n
    const size = registerSize(id)
    const result =
      size > MAX_REGISTER_SIZE
        ? -errnos.EINVAL
        : call(fds[index] ?? -1, id, batch.bytes(index, size))
    results[index] = result
    if (result < 0 && failure === 0) failure = result
  }
  return failure
}

/**
 * Makes a batch's calls later, on a copy, like the thread of the real kernel, and then copies the results
 * into the batch. So the caller may change the batch in the meantime.
 *
 * @returns the copy, with the values
 */
async function offThread(
  batch: OneRegBatch,
  call: (copy: OneRegBatch) => number,
): Promise<OneRegBatch> {
  const copy = new OneRegBatch(checkBatch(batch).count)
  copy.memory.set(batch.memory)
  await setImmediate()
  call(copy)
  batch.results.set(copy.results)
  return copy
}

/** Reads an unsigned number in the byte order of the host. */
function readBytes(bytes: Uint8Array): bigint {
  const highestFirst = LITTLE_ENDIAN ? [...bytes].reverse() : [...bytes]
  return highestFirst.reduce((value, byte) => (value << 8n) | BigInt(byte), 0n)
}

function writeBytes(bytes: Uint8Array, value: bigint): void {
  const lowestFirst = bytes.map((_, index) => Number((value >> BigInt(8 * index)) & 0xffn))
  bytes.set(LITTLE_ENDIAN ? lowestFirst : lowestFirst.reverse())
}
