import { VmstateError } from '../../errors.ts'

/** The errors of reading a stream. `offset` is in bytes from the beginning of the stream. */

export function malformed(problem: string, offset: number, cause?: unknown): VmstateError {
  return new VmstateError(
    'ERR_VMSTATE_FORMAT',
    problem,
    offset,
    cause === undefined ? {} : { cause },
  )
}

export function truncated(problem: string, offset: number): VmstateError {
  return new VmstateError('ERR_VMSTATE_TRUNCATED', problem, offset)
}

export function unsupported(problem: string, offset: number): VmstateError {
  return new VmstateError('ERR_VMSTATE_UNSUPPORTED', problem, offset)
}

export function unknownVersion(problem: string, offset: number): VmstateError {
  return new VmstateError('ERR_VMSTATE_VERSION', problem, offset)
}

export function missing(problem: string, offset?: number): VmstateError {
  return new VmstateError('ERR_VMSTATE_MISSING', problem, offset)
}

export function overLimit(problem: string, offset: number): VmstateError {
  return new VmstateError('ERR_VMSTATE_LIMIT', problem, offset)
}

/** A byte or a set of flags in the notation of QEMU's sources: `0x7e`. */
export function hex(value: number): string {
  return `0x${value.toString(16).padStart(2, '0')}`
}
