import type { OneRegBatch } from './batch.ts'
import { KvmError, TimebaseNotAppliedError } from './errors.ts'
import type { NotRestored } from './errors.ts'
import { errnoName, meansAbsent } from './errno.ts'
import type { Guest } from './guest.ts'
import { repeatInterrupted } from './interrupted.ts'
import { registers } from './registers.ts'

// A guest stands still while this runs, and it may have a thousand vCPUs: registers are kept in
// columns, are filled and compared in whole blocks where that can be, and nothing is made for each.

/** A vCPU's time registers. The offset comes first: kernels before 5.17 keep DEC_EXPIRY relative to it. */
export const timerNames = ['TB_OFFSET', 'DEC_EXPIRY', 'VTB', 'PURR', 'SPURR'] as const

export type TimerName = (typeof timerNames)[number]

/** Which of {@link timerNames}. */
export type TimerIndex = number

export const TB_OFFSET = timerNames.indexOf('TB_OFFSET')
export const DEC_EXPIRY = timerNames.indexOf('DEC_EXPIRY')
export const VTB = timerNames.indexOf('VTB')
export const PURR = timerNames.indexOf('PURR')
export const SPURR = timerNames.indexOf('SPURR')

const ids = timerNames.map((name) => registers[name].id)

/** The time registers of a guest, in ticks, u64, as they were read; good until the host's are read again. */
export class Timers {
  readonly guest: Guest
  readonly #batch: OneRegBatch

  /** @param batch register by register, each of all vCPUs */
  constructor(guest: Guest, batch: OneRegBatch) {
    this.guest = guest
    this.#batch = batch
  }

  /** What register and vCPU, by their indices, hold; undefined if the vCPU lacks the register. */
  get(register: TimerIndex, vcpu: number): bigint | undefined {
    const index = register * this.guest.fds.length + vcpu
    return (this.#batch.results[index] ?? -1) < 0 ? undefined : this.#batch.get64(index)
  }

  /** Whether all vCPUs have the register and hold the same, seen at a glance. */
  isCommon(register: TimerIndex): boolean {
    if (!this.#batch.succeeded) return false
    const size = 16 * this.guest.fds.length
    const { buffer, byteOffset } = this.#batch.values
    const held = Buffer.from(buffer, byteOffset + register * size, size)
    // Each like the one after it.
    return held.subarray(16).equals(held.subarray(0, size - 16))
  }
}

/**
 * The time registers of every vCPU, in one crossing.
 *
 * @throws KvmError for an error that does not say that a register is absent
 */
export function readTimers(guest: Guest): Timers {
  const { host, vcpus, fds } = guest
  const count = fds.length
  const batch = host.timers.batch(ids.length * count)
  // The upper halves too, so that whole blocks can be compared.
  batch.values.fill(0, 0, 16 * batch.used)
  ids.forEach((id, register) => {
    batch.ids.fill(id, register * count, (register + 1) * count)
    batch.fds.set(fds, register * count)
  })
  host.kernel.getOneRegs(batch)
  if (!batch.succeeded) {
    repeatInterrupted(batch, (batch) => host.kernel.getOneRegs(batch))
    for (let index = 0; index < batch.used; index++) {
      const result = batch.results[index] ?? 0
      if (result >= 0 || meansAbsent(result)) continue
      const register = timerNames[Math.floor(index / count)]
      const vcpu = vcpus[index % count]?.id
      throw new KvmError(result, { operation: 'KVM_GET_ONE_REG', register, vcpu })
    }
  }
  return new Timers(guest, batch)
}

/** Values for time registers: register `which[i]` of vCPU `owners[i]`, by their indices. */
export class TimerEntries {
  readonly which: Uint8Array
  readonly owners: Uint32Array
  readonly values: BigUint64Array
  length = 0

  /** @param room for how many */
  constructor(room: number) {
    this.which = new Uint8Array(room)
    this.owners = new Uint32Array(room)
    this.values = new BigUint64Array(room)
  }

  add(register: TimerIndex, vcpu: number, value: bigint): void {
    const index = this.length++
    this.which[index] = register
    this.owners[index] = vcpu
    this.values[index] = value
  }

  /** How many there are of DEC_EXPIRY, if these come first. */
  get expiries(): number {
    let count = 0
    while (count < this.length && this.which[count] === DEC_EXPIRY) count++
    return count
  }
}

/**
 * Writes time registers to every vCPU, or to none: if a step fails, or a register does not hold what
 * was written, all are put back as they were `before`.
 *
 * @param offset TB_OFFSET of all vCPUs
 * @param others the other registers, register by register, those of DEC_EXPIRY first
 * @throws TimebaseNotAppliedError
 */
export function applyTimers(before: Timers, offset: bigint, others: TimerEntries): void {
  const { guest } = before
  const offsets = offsetsOf(guest, offset)
  const problem =
    write(guest, offsets) ??
    verify(guest, offsets, offsets.length) ??
    write(guest, others) ??
    // PURR, SPURR and VTB are not compared: they run, and on POWER8 siblings share a VTB.
    verify(guest, others, others.expiries)
  if (problem === undefined) return
  throw new TimebaseNotAppliedError({
    ...problem,
    written: true,
    notRestored: putBack(guest, asEntries(before)),
  })
}

interface Problem {
  readonly vcpu: number
  readonly register: TimerName
  readonly problem: string
  readonly cause?: KvmError
}

function write(guest: Guest, entries: TimerEntries): Problem | undefined {
  const { kernel } = guest.host
  const batch = batchOf(guest, entries, entries.length)
  kernel.setOneRegs(batch)
  if (batch.succeeded) return undefined
  repeatInterrupted(batch, (batch) => kernel.setOneRegs(batch))
  const failed = batch.firstFailure
  if (failed < 0) return undefined
  return asProblem('KVM_SET_ONE_REG', guest, entries, failed, batch.results[failed])
}

/** The first so many of them. A set can succeed and do nothing: POWER9 DD1 (Linux 3d3efb68c19e). */
function verify(guest: Guest, entries: TimerEntries, count: number): Problem | undefined {
  const { kernel } = guest.host
  const batch = batchOf(guest, entries, count)
  const wanted = Buffer.from(batch.values.subarray(0, 16 * count))
  kernel.getOneRegs(batch)
  if (batch.succeeded && wanted.equals(batch.values.subarray(0, 16 * count))) return undefined
  repeatInterrupted(batch, (batch) => kernel.getOneRegs(batch))
  for (let index = 0; index < count; index++) {
    const result = batch.results[index] ?? 0
    if (result < 0) return asProblem('KVM_GET_ONE_REG', guest, entries, index, result)
    const held = batch.get64(index)
    const value = entries.values[index] ?? 0n
    if (held === value) continue
    const { vcpu, register } = whose(guest, entries, index)
    const problem = `${register} on vCPU ${vcpu} was set to ${value} and reads back as ${held}`
    return { vcpu, register, problem }
  }
  return undefined
}

/**
 * Writes the values from before and sees which registers hold them; where one cannot be read, the
 * kernel's word counts that it was written.
 */
function putBack(guest: Guest, entries: TimerEntries): NotRestored[] {
  const { kernel } = guest.host
  const batch = batchOf(guest, entries, entries.length)
  kernel.setOneRegs(batch)
  repeatInterrupted(batch, (batch) => kernel.setOneRegs(batch))
  const written = batch.results.slice()
  kernel.getOneRegs(batch)
  repeatInterrupted(batch, (batch) => kernel.getOneRegs(batch))
  return Array.from(entries.values.subarray(0, entries.length)).flatMap((value, index) => {
    const set = written[index] ?? 0
    const result = batch.results[index] ?? 0
    const held = batch.get64(index)
    if (result >= 0 ? held === value : set >= 0) return []
    const problem = [
      set < 0 ? `KVM_SET_ONE_REG: ${errnoName(set)}` : `was set to ${value}`,
      result < 0 ? `KVM_GET_ONE_REG: ${errnoName(result)}` : `reads ${held}`,
    ].join(', ')
    return [{ ...whose(guest, entries, index), problem }]
  })
}

function offsetsOf({ fds }: Guest, offset: bigint): TimerEntries {
  const offsets = new TimerEntries(fds.length)
  offsets.which.fill(TB_OFFSET)
  fds.forEach((_, vcpu) => (offsets.owners[vcpu] = vcpu))
  offsets.values.fill(offset)
  offsets.length = fds.length
  return offsets
}

/** What was read, to be written: all offsets before all others. */
function asEntries(timers: Timers): TimerEntries {
  const { vcpus } = timers.guest
  const entries = new TimerEntries(timerNames.length * vcpus.length)
  timerNames.forEach((_, register) => {
    vcpus.forEach((_, vcpu) => {
      const value = timers.get(register, vcpu)
      if (value !== undefined) entries.add(register, vcpu, value)
    })
  })
  return entries
}

/** The first so many entries, with their values. */
function batchOf({ host, fds }: Guest, entries: TimerEntries, count: number): OneRegBatch {
  const { which, owners, values } = entries
  const batch = host.scratch.batch(count)
  // The upper halves too, so that whole blocks can be compared.
  batch.values.fill(0, 0, 16 * count)
  for (let index = 0; index < count; index++) {
    batch.fds[index] = fds[owners[index] ?? 0] ?? -1
    batch.ids[index] = ids[which[index] ?? 0] ?? 0n
    batch.set64(index, values[index] ?? 0n)
  }
  return batch
}

function whose(
  { vcpus }: Guest,
  { which, owners }: TimerEntries,
  index: number,
): { vcpu: number; register: TimerName } {
  const { id = -1 } = vcpus[owners[index] ?? -1] ?? {}
  return { vcpu: id, register: timerNames[which[index] ?? -1] ?? 'TB_OFFSET' }
}

function asProblem(
  operation: string,
  guest: Guest,
  entries: TimerEntries,
  index: number,
  result: number | undefined,
): Problem {
  const about = whose(guest, entries, index)
  const cause = new KvmError(result ?? 0, { operation, ...about })
  return { ...about, problem: cause.message, cause }
}
