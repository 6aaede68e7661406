import type { OneRegBatch } from './batch.ts'

/** A call that reads or writes one register of a vCPU. */
export type OneRegOperation = 'KVM_GET_ONE_REG' | 'KVM_SET_ONE_REG'

/**
 * Every call that this library makes to the kernel. The rest of the library does not know which
 * implementation it runs on.
 *
 * A call returns a non-negative result, or `-errno`; its callers turn that into errors. A call throws only
 * for an argument of the wrong type, range or length (TypeError or RangeError), and before any system call.
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
   * The name of the file in /proc/self/fd, such as `anon_inode:kvm-vcpu:0` for a vCPU; or `-errno`: EACCES if
   * /proc cannot be read.
   *
   * @param fd any file descriptor
   */
  describe(fd: number): string | number
  /**
   * A number above 0 that identifies the file behind a descriptor, if this kernel opened it; 0 if the
   * descriptor is closed or its number now belongs to another file. A garbage-collected object uses it to
   * close its own file only. With a kernel that does not have this method, such a file stays open.
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
   * @param value the memory for the value, as long as the id says
   */
  getOneReg(fd: number, id: bigint, value: Uint8Array): number
  /**
   * KVM_SET_ONE_REG: 0. The same rules as {@link getOneReg}.
   *
   * @param fd the file descriptor of the vCPU
   * @param id the id of the register
   * @param value the value, as long as the id says
   */
  setOneReg(fd: number, id: bigint, value: Uint8Array): number
  /**
   * KVM_GET_ONE_REG for each used entry of the batch, in order: 0, or the `-errno` of the first call that
   * failed. Each entry gets a result of its own. An id of more than 128 bits gets -EINVAL without a call.
   *
   * @param batch ids and file descriptors; values and results are put into it
   */
  getOneRegs(batch: OneRegBatch): number
  /**
   * KVM_SET_ONE_REG for each used entry of the batch, in order. After a call that failed, the others are made
   * all the same.
   *
   * @param batch ids, file descriptors and values; results are put into it
   */
  setOneRegs(batch: OneRegBatch): number
  /**
   * {@link getOneRegs} off the JavaScript thread: 0, or `-errno` if there is no thread or memory for it. The
   * batch's ids and file descriptors are copied at once; values and results are in the batch when the
   * promise resolves.
   *
   * @param batch ids and file descriptors; left alone until the promise settles
   */
  getOneRegsAsync(batch: OneRegBatch): Promise<number>
  /**
   * {@link setOneRegs} off the JavaScript thread, in the same way. The values are copied at once too.
   *
   * @param batch ids, file descriptors and values; left alone until the promise settles
   */
  setOneRegsAsync(batch: OneRegBatch): Promise<number>

  /** The host's timebase (`mftb`) in ticks, u64; -ENOSYS on a processor without one. */
  timebase(): bigint
  /** Ticks per second of the host's timebase, in Hz; -ENOSYS on a processor without one. */
  timebaseFrequency(): bigint
  /**
   * Reads the host's timebase and CLOCK_REALTIME at the same instant: 0, with three words in `into`. The
   * timebase is read before and after the wall clock: the first word is the middle of these two readings
   * (ticks), the second the time of day (ns since the epoch, two's complement), and the third half the
   * distance of the two readings (ticks), by which the first may be wrong.
   *
   * @param into three elements: timebase, time of day, and half-width of the bracket
   */
  sample(into: BigUint64Array): number
  /**
   * adjtimex(2), used only to ask how accurate CLOCK_REALTIME is: from 0 to 4 if it is synchronised, 5
   * (TIME_ERROR) if it is not, or `-errno`. The most by which the clock can be wrong is put into `into`, in µs.
   * With a kernel that does not have this method, the accuracy of its clock is not known.
   *
   * @param into one element
   */
  clockState?(into: BigUint64Array): number
}
