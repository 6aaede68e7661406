import { errnoName } from './errno.ts'

/**
 * Which call to the kernel failed, and on what.
 *
 * @group Errors
 */
export interface KvmErrorContext {
  /** The call's name in the kernel: `KVM_SET_ONE_REG`. */
  readonly operation: string
  /** The register's name, or its id in hexadecimal. */
  readonly register?: string | undefined
  /** The vCPU's id. */
  readonly vcpu?: number | undefined
}

/**
 * A call to the kernel failed. `code`, `errno` and `syscall` are those of Node's own system errors.
 *
 * Do not let a program depend on which `code` a situation gives: the kernel's documentation says that it
 * may change (Documentation/virt/kvm/api.rst, 4.68).
 *
 * @group Errors
 */
export class KvmError extends Error implements KvmErrorContext {
  override readonly name = 'KvmError'
  /** The name of the error, such as `'EINVAL'`. */
  readonly code: string
  /** The number of the error, negative as in Node's errors: -22. */
  readonly errno: number
  /** The system call, such as `'ioctl'`. */
  readonly syscall: string
  readonly operation: string
  declare readonly register?: string
  declare readonly vcpu?: number

  constructor(errno: number, context: KvmErrorContext) {
    const code = errnoName(errno)
    const of = context.register === undefined ? '' : ` of ${context.register}`
    const on = context.vcpu === undefined ? '' : ` on vCPU ${context.vcpu}`
    super(`${context.operation}${of}${on} failed: ${code} (${usualCause(code, context)})`)
    this.code = code
    this.errno = errno
    this.syscall = context.operation.startsWith('KVM_') ? 'ioctl' : context.operation
    this.operation = context.operation
    if (context.register !== undefined) this.register = context.register
    if (context.vcpu !== undefined) this.vcpu = context.vcpu
  }
}

function usualCause(code: string, context: KvmErrorContext): string {
  const ofRegister = context.register !== undefined
  switch (code) {
    case 'EIO':
      return 'the VM was made by another process: calls on its vCPUs work only in the process that created it, not in a child process or over a passed descriptor; worker threads are fine'
    case 'EINVAL':
      if (ofRegister)
        return 'this kernel or processor does not have the register, refuses the value, or the descriptor is not a vCPU'
      if (context.operation === 'KVM_CREATE_VCPU')
        return 'the id is taken or too high for this kernel, or the descriptor is not a VM'
      return 'the kernel refuses the argument'
    case 'EEXIST':
      return 'it exists already'
    case 'ENXIO':
      return 'the guest lacks the device that the register belongs to'
    case 'ENOTTY':
      return 'the descriptor belongs to another kind of file'
    case 'EBADF':
      return 'the descriptor is closed'
    case 'EACCES':
      if (context.operation === 'readlink')
        return "/proc is not mounted, or hidden by Node's permission model: --allow-fs-read=/proc"
      return 'this user has no permission'
    case 'EINTR':
      return 'a signal interrupted the call; try again'
    case 'ENOMEM':
      return 'the kernel has no memory left for the call'
    case 'EMFILE':
      return 'this process has too many files open; see ulimit -n'
    case 'EFAULT':
      return 'the kernel could not read or write the memory that the call named'
    default:
      return "see ioctl(2) and the kernel's Documentation/virt/kvm/api.rst"
  }
}
