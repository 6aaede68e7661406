import { checkInteger, checkObject, checkOptionNames, checkWord } from '../checks.ts'
import { errnos } from '../errno.ts'
import type { ErrnoName } from '../errno.ts'
import type { RegisterName } from '../registers.ts'
import { lookUp } from '../register-values.ts'

export const operations = [
  'open',
  'close',
  'readlink',
  'mftb',
  'clock_gettime',
  'adjtimex',
  'KVM_CHECK_EXTENSION',
  'KVM_CREATE_VM',
  'KVM_CREATE_VCPU',
  'KVM_GET_ONE_REG',
  'KVM_SET_ONE_REG',
] as const

/**
 * A call that a {@link Fault} can be for: `'open'`, `'close'`, `'readlink'`, `'mftb'`, `'clock_gettime'`,
 * `'adjtimex'`, `'KVM_CHECK_EXTENSION'`, `'KVM_CREATE_VM'`, `'KVM_CREATE_VCPU'`, `'KVM_GET_ONE_REG'` or
 * `'KVM_SET_ONE_REG'`.
 *
 * @group Calls that fail
 */
export type Operation = (typeof operations)[number]

/**
 * Which later calls fail, and with which error.
 *
 * @group Calls that fail
 */
export interface Fault {
  /** The error of the calls that fail. */
  readonly errno: ErrnoName
  /** The call that fails. The default is any but `'adjtimex'`, whose failure a save or a load survives. */
  readonly operation?: Operation
  /** The register for which calls fail. The default is any. */
  readonly register?: RegisterName
  /** How many matching calls succeed first. The default is 0, so that the next one fails. */
  readonly skip?: number
  /** How many matching calls then fail. The default is 1. */
  readonly times?: number
}

/** The faults that a test has put into a {@link FailingKernel}. */
export class Faults {
  #pending: {
    errno: number
    operation: Operation | undefined
    register: bigint | undefined
    skip: number
    times: number
  }[] = []

  add(fault: Fault): void {
    checkOptionNames('the fault', checkObject('the fault', fault), [
      'errno',
      'operation',
      'register',
      'skip',
      'times',
    ])
    const { errno, operation, register, skip = 0, times = 1 } = fault
    this.#pending.push({
      errno: errnos[checkWord('errno', errno, Object.keys(errnos) as ErrnoName[])],
      operation:
        operation === undefined ? undefined : checkWord('operation', operation, operations),
      register: register === undefined ? undefined : lookUp(register).id,
      skip: checkInteger('skip', skip),
      times: checkInteger('times', times),
    })
  }

  clear(): void {
    this.#pending = []
  }

  /** Counts a call that is about to be made: `-errno` if it must fail, or 0. */
  strike(operation: Operation, register?: bigint): number {
    let result = 0
    for (const fault of this.#pending) {
      // No call depends on adjtimex, so a fault that is for any call passes it by.
      if ((fault.operation ?? (operation === 'adjtimex' ? undefined : operation)) !== operation)
        continue
      if (fault.register !== undefined && fault.register !== register) continue
      if (fault.skip > 0) fault.skip--
      else if (fault.times > 0) {
        fault.times--
        if (result === 0) result = -fault.errno
      }
    }
    this.#pending = this.#pending.filter(({ times }) => times > 0)
    return result
  }
}
