import { KvmError, TimebaseNotAppliedError } from '../errors.ts'
import type { NotRestored } from '../errors.ts'
import { errnoName } from '../errno.ts'
import { getBatch, setBatch } from '../kvm/one-reg.ts'
import { timerMemoryOf } from './time-registers.ts'
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
  const offsets = timerMemoryOf(guest.system).offsets.bindTo(guest)
  offsets.fill(offset)
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
  written.keep()
  const failure = getBatch(guest.system.kernel, batch)
  const failed = failure === 0 ? undefined : firstFailure('KVM_GET_ONE_REG', written)
  return failed ?? firstDifference(written)
}

function firstFailure(operation: string, called: TimeRegisters): Problem | undefined {
  const { results, used } = called.batch
  const failed = results
    .subarray(0, used)
    .findIndex((result, index) => result < 0 && !called.isLeftOut(index))
  if (failed < 0) return undefined
  const about = called.owner(failed)
  const cause = new KvmError(results[failed] ?? 0, { operation, ...about })
  return { ...about, problem: cause.message, cause }
}

function firstDifference(read: TimeRegisters): Problem | undefined {
  for (const column of read.readBack) {
    const index = read.firstDifference(column)
    if (index >= 0) return differenceAt(index, read)
  }
  return undefined
}

function differenceAt(index: number, read: TimeRegisters): Problem {
  const { vcpu, register } = read.owner(index)
  const [value, held] = [read.kept(index), read.batch.get64(index)]
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
      if (result < 0) before.leaveOut(index)
    })
  }
  before.keep()
  setBatch(kernel, batch)
  const written = batch.results.slice()
  getBatch(kernel, batch)
  return Array.from(written).flatMap((set, index) => {
    if (before.isLeftOut(index)) return []
    const value = before.kept(index)
    const result = batch.results[index] ?? 0
    const held = batch.get64(index)
    if (result >= 0 ? held === value : set >= 0) return []
    const problem = [
      set < 0 ? `KVM_SET_ONE_REG: ${errnoName(set)}` : `was set to ${value}`,
      result < 0 ? `KVM_GET_ONE_REG: ${errnoName(result)}` : `reads ${held}`,
    ].join(', ')
    return [{ ...before.owner(index), problem }]
  })
}
