import { KvmError, TimebaseNotAppliedError } from '../errors.ts'
import type { NotRestored } from '../errors.ts'
import { errnoName } from '../errno.ts'
import { callBatch } from '../kvm/one-reg.ts'
import { timerMemoryOf, timerNames } from './time-registers.ts'
import type { TimerColumns, TimerName, Timers } from './time-registers.ts'

/**
 * Writes time registers to every vCPU, or to none: if a step fails, or a register does not hold what
 * was written, all are put back as they were `before`.
 *
 * @param offset TB_OFFSET of all vCPUs
 * @param others the other registers
 * @throws TimebaseNotAppliedError
 */
export function applyTimers(before: Timers, offset: bigint, others: TimerColumns): void {
  const { guest } = before.columns
  const offsets = timerMemoryOf(guest.system).offsets.of(guest)
  for (let vcpu = 0; vcpu < guest.fds.length; vcpu++) offsets.batch.set64(vcpu, offset)
  const problem =
    write(offsets) ??
    verify(offsets) ??
    write(others) ??
    // That of DEC_EXPIRY. PURR, SPURR and VTB run, and on POWER8 siblings share a VTB.
    verify(others)
  if (problem === undefined) return
  throw new TimebaseNotAppliedError({ ...problem, written: true, notRestored: putBack(before) })
}

interface Problem {
  readonly vcpu: number
  readonly register: TimerName
  readonly problem: string
  readonly cause?: KvmError
}

function write(columns: TimerColumns): Problem | undefined {
  const { batch, guest } = columns
  if (callBatch(guest.system.kernel, 'KVM_SET_ONE_REG', batch) === 0) return undefined
  return firstFailure('KVM_SET_ONE_REG', columns)
}

/** Reads the first column back. A set can succeed and do nothing: POWER9 DD1 (Linux 3d3efb68c19e). */
function verify(columns: TimerColumns): Problem | undefined {
  const { batch, guest } = columns
  batch.used = guest.fds.length
  const wanted = Buffer.from(columns.bytes(1))
  const failure = callBatch(guest.system.kernel, 'KVM_GET_ONE_REG', batch)
  if (failure === 0 && wanted.equals(columns.bytes(1))) return undefined
  return firstFailure('KVM_GET_ONE_REG', columns) ?? firstDifference(columns, wanted)
}

function firstFailure(operation: string, columns: TimerColumns): Problem | undefined {
  const { results, used } = columns.batch
  const failed = results
    .subarray(0, used)
    .findIndex((result, index) => result < 0 && !columns.isLeftOut(index))
  if (failed < 0) return undefined
  const about = columns.owner(failed)
  const cause = new KvmError(results[failed] ?? 0, { operation, ...about })
  return { ...about, problem: cause.message, cause }
}

function firstDifference(columns: TimerColumns, wanted: Buffer): Problem | undefined {
  const { batch } = columns
  const values = wordsOf(wanted)
  for (let index = 0; index < batch.used; index++) {
    const held = batch.get64(index)
    const value = values[index * 2] ?? 0n
    if (held === value) continue
    const { vcpu, register } = columns.owner(index)
    const problem = `${register} on vCPU ${vcpu} was set to ${value} and reads back as ${held}`
    return { vcpu, register, problem }
  }
  return undefined
}

/**
 * Writes the values from before and sees which registers hold them; where one cannot be read, the
 * kernel's word counts that it was written.
 */
function putBack({ columns, areComplete }: Timers): NotRestored[] {
  const { batch, guest } = columns
  const { kernel } = guest.system
  if (!areComplete) {
    batch.results.forEach((result, index) => {
      if (result < 0) columns.leaveOut(index)
    })
  }
  const values = wordsOf(Buffer.from(columns.bytes(timerNames.length)))
  callBatch(kernel, 'KVM_SET_ONE_REG', batch)
  const written = batch.results.slice()
  callBatch(kernel, 'KVM_GET_ONE_REG', batch)
  return Array.from(written).flatMap((set, index) => {
    if (columns.isLeftOut(index)) return []
    const value = values[index * 2] ?? 0n
    const result = batch.results[index] ?? 0
    const held = batch.get64(index)
    if (result >= 0 ? held === value : set >= 0) return []
    const problem = [
      set < 0 ? `KVM_SET_ONE_REG: ${errnoName(set)}` : `was set to ${value}`,
      result < 0 ? `KVM_GET_ONE_REG: ${errnoName(result)}` : `reads ${held}`,
    ].join(', ')
    return [{ ...columns.owner(index), problem }]
  })
}

/** The 64-bit words of a copy of values; every second is one of a register. */
function wordsOf(copy: Buffer): BigUint64Array {
  return new BigUint64Array(new Uint8Array(copy).buffer)
}
