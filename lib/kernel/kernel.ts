import type { OneRegBatch } from './batch.ts'

/** A call that reads or writes one register of a vCPU. */
export type OneRegOperation = 'KVM_GET_ONE_REG' | 'KVM_SET_ONE_REG'

/**
 * Every call that this library makes to the kernel: the seam between the library and what it runs on.
 *
 * One currency: a call returns a non-negative result, or `-errno`; what that means is decided by its
 * callers. A call throws only for an argument of the wrong type, range or length, and it does so
 * before any system call: TypeError or RangeError.
 *
 * {@link NativeKernel} makes the real calls, {@link SoftwareKernel} models them.
 *
 * @group Kernels and batches
 */
export interface Kernel {
  readonly backend: 'kvm' | 'software'

  /**
   * open(2), read and write, close-on-exec: a file descriptor.
   *
   * @param path the path of the device
   */
  open(path: string): number
  /**
   * close(2): 0.
   *
   * @param fd the file descriptor to close
   */
  close(fd: number): number
  /**
   * What /proc/self/fd names the file: `anon_inode:kvm-vcpu:0` for a vCPU. Or `-errno`: EACCES if that cannot be seen.
   *
   * @param fd any file descriptor
   */
  describe(fd: number): string | number
  /**
   * A number above 0 that identifies the open file behind a descriptor, while it is one that this kernel
   * opened; 0 if it is closed, or its number has become another file's. By it a garbage-collected object
   * closes its own file only. Where a kernel does not have this method, such a file stays open.
   */
  fileId?(fd: number): number

  /**
   * KVM_CHECK_EXTENSION on /dev/kvm or a VM: 0 if the kernel lacks it.
   *
   * @param fd the file descriptor of the device or of a VM
   * @param extension the number of a KVM_CAP_*
   */
  checkExtension(fd: number, extension: number): number
  /**
   * KVM_CREATE_VM on /dev/kvm: a VM's file descriptor. Type 0 lets the kernel choose.
   *
   * @param fd the file descriptor of the device
   * @param type the type of the VM; 0 is the default of the kernel
   */
  createVm(fd: number, type: number): number
  /**
   * KVM_CREATE_VCPU on a VM: a vCPU's file descriptor.
   *
   * @param fd the file descriptor of the VM
   * @param id the id of the new vCPU
   */
  createVcpu(fd: number, id: number): number

  /**
   * KVM_GET_ONE_REG: 0, with the register in `value`, in the host's byte order. `value` must be
   * exactly as long as the size bits of `id` say.
   *
   * @param fd the file descriptor of the vCPU
   * @param id the id of the register
   * @param value where the value is put; as long as the id says
   */
  getOneReg(fd: number, id: bigint, value: Uint8Array): number
  /**
   * KVM_SET_ONE_REG: 0. The same rules as {@link getOneReg}.
   *
   * @param fd the file descriptor of the vCPU
   * @param id the id of the register
   * @param value the value; as long as the id says
   */
  setOneReg(fd: number, id: bigint, value: Uint8Array): number
  /**
   * KVM_GET_ONE_REG for each entry of the batch that is used, in turn, in one crossing: 0, or the
   * `-errno` of the first that failed. Each entry has a result of its own; -EINVAL, without a call,
   * for an id of more than 128 bits.
   *
   * @param batch ids and file descriptors; values and results are put into it
   */
  getOneRegs(batch: OneRegBatch): number
  /**
   * KVM_SET_ONE_REG for each entry of the batch in turn. An entry that fails does not stop those after it.
   *
   * @param batch ids, file descriptors and values; results are put into it
   */
  setOneRegs(batch: OneRegBatch): number
  /**
   * {@link getOneRegs} off the JavaScript thread: 0, or `-errno` if no thread or no memory could
   * be had. The batch's ids and file descriptors are taken at once; values and results are there
   * when it resolves.
   *
   * @param batch ids and file descriptors; left alone until the promise settles
   */
  getOneRegsAsync(batch: OneRegBatch): Promise<number>
  /**
   * {@link setOneRegs} off the JavaScript thread, in the same way; the values are taken at once too.
   *
   * @param batch ids, file descriptors and values; left alone until the promise settles
   */
  setOneRegsAsync(batch: OneRegBatch): Promise<number>

  /** The host's timebase (`mftb`) in ticks, u64. -ENOSYS where the processor has none. */
  timebase(): bigint
  /** Ticks per second of the host's timebase, in Hz. -ENOSYS where the processor has none. */
  timebaseFrequency(): bigint
  /**
   * The host's timebase and CLOCK_REALTIME of the same instant: 0, with three words in `into`:
   * timebase (ticks), time of day (ns since the epoch, two's complement), and the half-width of the
   * bracket (ticks), within which the two belong together.
   *
   * @param into three elements: timebase, time of day in ns, and half the width of the bracket in ticks
   */
  sample(into: BigUint64Array): number
  /**
   * adjtimex(2), which changes nothing here: how right CLOCK_REALTIME is. From 0 to 4 if it is
   * synchronised, 5 (TIME_ERROR) if it is not, or `-errno`; with the most that it can be wrong by in
   * `into`, in µs. Where a kernel does not have this method, nothing is known of its clock.
   *
   * @param into one element
   */
  clockState?(into: BigUint64Array): number
}
