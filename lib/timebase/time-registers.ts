import { NO_REGISTER, OneRegBatch } from '../kernel/batch.ts'
import { registers } from '../registers.ts'
import type { Guest } from './guest.ts'
import { indexOf, timeRegisters } from './timers.ts'
import type { CheckedTimers, TimeRegister, TimerIndex, TimerName } from './timers.ts'

// The guest does not run while this code does, and it may have a thousand vCPUs. So the registers are kept
// in columns, whole columns are compared, and memory is used again by the next call. There are functions and no
// methods, since the bundle lets V8 compile functions before they are called: scripts/compile-early.mjs.

/** In a batch a value takes four words of 32 bits, of which a time register uses the first two. */
const VALUE_WORDS = 4

const noGuest: Guest = { vcpus: [], ids: [], descriptors: [], fds: new Int32Array() } as never

/** Which of the time registers are kept: one column of the batch for each. */
export interface Columns {
  /** The index of the first column's register. */
  readonly first: TimerIndex
  readonly rows: readonly TimeRegister[]
  /** The columns whose registers are read back after they were written. */
  readonly readBack: readonly number[]
  /** How many columns there are up to the last of those. */
  readonly columnsToReadBack: number
}

/** @param end the index after the last register's */
export function columnsOf(first: TimerIndex, end: TimerIndex): Columns {
  const rows = timeRegisters.slice(first, end)
  return {
    first,
    rows,
    readBack: rows.flatMap(({ isReadBack }, column) => (isReadBack ? column : [])),
    columnsToReadBack: rows.findLastIndex(({ isReadBack }) => isReadBack) + 1,
  }
}

/**
 * Some of the time registers of all vCPUs of a guest, in ticks, u64. They are kept in the memory of one
 * batch, register by register: first the first register of every vCPU, then the second of every vCPU.
 */
export interface TimeRegisters extends Columns {
  guest: Guest
  batch: OneRegBatch
  /** Whether every vCPU was found to have every one of the registers: see readTimeRegisters. */
  areComplete: boolean
  /** How many vCPUs the guest has: the length of a column. */
  length: number
  /** The descriptors that every column of the batch has. */
  fds: Int32Array
  kept: Uint32Array
  /** Whether an entry is left out, so that its id must be written again for the next guest. */
  hasLeftOut: boolean
}

/** Makes the memory for these columns. It has no entries until {@link bind} gives it a guest. */
export function memoryFor({ first, rows, readBack, columnsToReadBack }: Columns): TimeRegisters {
  return {
    guest: noGuest,
    batch: new OneRegBatch(0),
    areComplete: false,
    readBack,
    columnsToReadBack,
    first,
    rows,
    length: 0,
    fds: noGuest.fds,
    kept: new Uint32Array(),
    hasLeftOut: false,
  }
}

/**
 * Points ids and descriptors at this guest's vCPUs. The values are left over from the last guest.
 *
 * @param memory that of the last call, or of one that has not ended: a kernel of the caller's own, or the
 *   function of an ObservedKernel, may move another guest during a call
 * @returns the memory, or memory of its own
 */
export function bind(memory: TimeRegisters, guest: Guest): TimeRegisters {
  const to = memory.guest === noGuest ? memory : memoryFor(memory)
  const { length } = guest.fds
  const count = to.rows.length * length
  to.guest = guest
  to.length = length
  if (to.batch.count !== count) {
    to.batch = new OneRegBatch(count)
    to.kept = new Uint32Array(count * VALUE_WORDS)
    putIds(to)
  } else if (to.hasLeftOut) putIds(to)
  putFds(to)
  return to
}

function putIds(to: TimeRegisters): void {
  const { batch, length } = to
  let start = 0
  for (const { name } of to.rows) {
    batch.ids.fill(registers[name].id, start, start + length)
    start += length
  }
  to.hasLeftOut = false
}

function putFds(to: TimeRegisters): void {
  const { batch, guest } = to
  if (batch.used !== batch.count) batch.used = batch.count
  if (to.fds === guest.fds) return
  to.fds = guest.fds
  for (let at = 0; at < batch.count; at += to.length) batch.fds.set(guest.fds, at)
}

/** Lets go of the guest, whose vCPUs could otherwise not be garbage-collected and closed. */
export function release(from: TimeRegisters, guest: Guest): void {
  if (from.guest === guest) from.guest = noGuest
}

/** The index in the batch of a register on a vCPU, both given by their indices. */
function indexIn({ first, length }: TimeRegisters, register: TimerIndex, vcpu: number): number {
  // V8 would check a product by * for an overflow and for -0.
  return Math.imul(register - first, length) + vcpu
}

/** The vCPU's id and the register's name for an index in the batch. */
export function ownerOf(
  { guest, rows }: TimeRegisters,
  index: number,
): { vcpu: number; register: TimerName } {
  const { ids } = guest
  const register = rows[Math.floor(index / ids.length)]?.name ?? 'TB_OFFSET'
  return { vcpu: ids[index % ids.length] ?? -1, register }
}

/** The value of a register on a vCPU, both given by their indices; undefined if the vCPU lacks it. */
export function valueOf(
  read: TimeRegisters,
  register: TimerIndex,
  vcpu: number,
): bigint | undefined {
  const index = indexIn(read, register, vcpu)
  if (!read.areComplete && (read.batch.results[index] ?? -1) < 0) return undefined
  return read.batch.get64(index)
}

/** Puts one value into all entries. */
export function fill({ batch }: TimeRegisters, ticks: bigint): void {
  batch.words64.fill(ticks)
}

/** Puts a value to write to a register of a vCPU, both given by their indices; undefined leaves it out. */
function put(
  into: TimeRegisters,
  register: TimerIndex,
  vcpu: number,
  ticks: bigint | undefined,
): void {
  const index = indexIn(into, register, vcpu)
  if (ticks === undefined) leaveOut(into, index)
  else into.batch.set64(index, ticks)
}

// Called for up to thousands of vCPUs. So the fields are named one by one: V8 takes three times as long for a loop
// over names.

/** The timers of a vCPU, given by its index. */
export function timersAt(read: TimeRegisters, vcpu: number): CheckedTimers {
  return {
    id: read.guest.ids[vcpu] ?? -1,
    decExpiry: valueOf(read, indexOf.decExpiry, vcpu),
    vtb: valueOf(read, indexOf.vtb, vcpu),
    purr: valueOf(read, indexOf.purr, vcpu),
    spurr: valueOf(read, indexOf.spurr, vcpu),
  }
}

/**
 * Puts the registers to write to a vCPU, given by its index.
 *
 * @param decExpiry the value for DEC_EXPIRY, which is not always the saved one
 */
export function putTimers(
  into: TimeRegisters,
  vcpu: number,
  timers: CheckedTimers | undefined,
  decExpiry: bigint,
): void {
  put(into, indexOf.decExpiry, vcpu, decExpiry)
  put(into, indexOf.vtb, vcpu, timers?.vtb)
  put(into, indexOf.purr, vcpu, timers?.purr)
  put(into, indexOf.spurr, vcpu, timers?.spurr)
}

/**
 * Leaves out the values for registers that a vCPU does not have.
 *
 * @param read the registers of the same guest, which were read before the load: they show which a vCPU has
 * @returns the vCPU and the register of each value that is left out by this
 */
export function leaveOutAbsent(
  from: TimeRegisters,
  read: TimeRegisters,
): { vcpu: number; register: TimerName }[] {
  if (read.areComplete) return []
  const absent: { vcpu: number; register: TimerName }[] = []
  for (let vcpu = 0; vcpu < from.length; vcpu++) {
    from.rows.forEach((_, column) => {
      const register = from.first + column
      const index = indexIn(from, register, vcpu)
      if (isLeftOut(from, index) || valueOf(read, register, vcpu) !== undefined) return
      leaveOut(from, index)
      absent.push(ownerOf(from, index))
    })
  }
  return absent
}

/** Excludes an entry from the batch: the kernel is not asked for it. */
export function leaveOut(from: TimeRegisters, index: number): void {
  from.batch.ids[index] = NO_REGISTER
  from.hasLeftOut = true
}

export function isLeftOut({ batch }: TimeRegisters, index: number): boolean {
  return batch.ids[index] === NO_REGISTER
}

// Values are compared as words of 32 bits, since V8 makes a bigint of every word of 64 bits.

/** Keeps the values of the entries in use, for {@link firstDifference} and {@link keptValue}. */
export function keep({ batch, kept }: TimeRegisters): void {
  kept.set(batch.words32.subarray(0, VALUE_WORDS * batch.used))
}

/** The first index of a column at which the batch has another value than was kept; -1 if there is none. */
export function firstDifference({ batch, kept, length }: TimeRegisters, column: number): number {
  const { words32 } = batch
  const start = column * length
  const end = start + length
  for (let index = start; index < end; index++) {
    const word = index * VALUE_WORDS
    if (words32[word] !== kept[word] || words32[word + 1] !== kept[word + 1]) return index
  }
  return -1
}

/** The kept value for an index in the batch. */
export function keptValue({ kept }: TimeRegisters, index: number): bigint {
  return new BigUint64Array(kept.buffer)[(index * VALUE_WORDS) / 2] ?? 0n
}

/** Whether every vCPU has the offset of the first. Each of them must have one. */
export function isOneOffset({ batch, length }: TimeRegisters): boolean {
  const { words32 } = batch
  const [low, high] = words32
  const end = VALUE_WORDS * length
  for (let word = 0; word < end; word += VALUE_WORDS) {
    if (words32[word] !== low || words32[word + 1] !== high) return false
  }
  return true
}
