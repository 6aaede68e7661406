import { KvmError, TimebaseNotAppliedError } from '../errors.ts'
import type { NotRestored } from '../errors.ts'
import { errnoName } from '../errno.ts'
import { getBatch, setBatch } from '../kvm/one-reg.ts'
import { timerMemoryOf } from './read-guest.ts'
import {
  bind,
  fill,
  firstDifference,
  isLeftOut,
  keep,
  keptValue,
  leaveOut,
  ownerOf,
} from './time-registers.ts'
import type { TimeRegisters } from './time-registers.ts'
import type { TimerName } from './timers.ts'

/**
 * Writes time registers to every vCPU, or to none: if a step fails, or a register does not hold what
 * was written, all are put back as they were `before`.
 *
 * @param offset TB_OFFSET of all vCPUs
 * @param others the other registers
 * @throws TimebaseNotAppliedError
 */
export function applyTimers(before: TimeRegisters, offset: bigint, others: TimeRegisters): void {
  const { guest } = before
  const offsets = bind(timerMemoryOf(guest.system).offsets, guest)
  fill(offsets, offset)
  const problem = write(offsets) ?? verify(offsets) ?? write(others) ?? verify(others)
  if (problem === undefined) return
  throw new TimebaseNotAppliedError({ ...problem, written: true, notRestored: putBack(before) })
}

interface Problem {
  readonly vcpu: number
  readonly register: TimerName
  readonly problem: string
  readonly cause?: KvmError
}

function write(written: TimeRegisters): Problem | undefined {
  const { batch, guest } = written
  if (setBatch(guest.system.kernel, batch) === 0) return undefined
  return firstFailure('KVM_SET_ONE_REG', written)
}

/**
 * Reads registers back and compares them with what was written, since a set can succeed and do nothing:
 * POWER9 DD1 (Linux 3d3efb68c19e).
 */
function verify(written: TimeRegisters): Problem | undefined {
  const { batch, guest } = written
  // A batch is read from its start, so the columns before the last that matters are read along with it.
  batch.used = written.columnsToReadBack * guest.fds.length
  keep(written)
  const failure = getBatch(guest.system.kernel, batch)
  const failed = failure === 0 ? undefined : firstFailure('KVM_GET_ONE_REG', written)
  return failed ?? difference(written)
}

function firstFailure(operation: string, called: TimeRegisters): Problem | undefined {
  const { results, used } = called.batch
  const failed = results
    .subarray(0, used)
    .findIndex((result, index) => result < 0 && !isLeftOut(called, index))
  if (failed < 0) return undefined
  const about = ownerOf(called, failed)
  const cause = new KvmError(results[failed] ?? 0, { operation, ...about })
  return { ...about, problem: cause.message, cause }
}

function difference(read: TimeRegisters): Problem | undefined {
  for (const column of read.readBack) {
    const index = firstDifference(read, column)
    if (index >= 0) return differenceAt(index, read)
  }
  return undefined
}

function differenceAt(index: number, read: TimeRegisters): Problem {
  const { vcpu, register } = ownerOf(read, index)
  const [value, held] = [keptValue(read, index), read.batch.get64(index)]
  const problem = `${register} on vCPU ${vcpu} was set to ${value} and reads back as ${held}`
  return { vcpu, register, problem }
}

/**
 * Writes the values from before, and reads them back to see which registers hold them. Where one cannot be
 * read, it counts as restored if the kernel said that it was written.
 */
function putBack(before: TimeRegisters): NotRestored[] {
  const { batch, guest, areComplete } = before
  const { kernel } = guest.system
  if (!areComplete) {
    batch.results.forEach((result, index) => {
      if (result < 0) leaveOut(before, index)
    })
  }
  keep(before)
  setBatch(kernel, batch)
  const written = batch.results.slice()
  getBatch(kernel, batch)
  return Array.from(written).flatMap((set, index) => {
    if (isLeftOut(before, index)) return []
    const value = keptValue(before, index)
    const result = batch.results[index] ?? 0
    const held = batch.get64(index)
    if (result >= 0 ? held === value : set >= 0) return []
    const problem = [
      set < 0 ? `KVM_SET_ONE_REG: ${errnoName(set)}` : `was set to ${value}`,
      result < 0 ? `KVM_GET_ONE_REG: ${errnoName(result)}` : `reads ${held}`,
    ].join(', ')
    return [{ ...ownerOf(before, index), problem }]
  })
}
