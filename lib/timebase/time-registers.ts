import { NO_REGISTER, OneRegBatch } from '../kernel/batch.ts'
import { KvmError } from '../errors.ts'
import { meansAbsent } from '../errno.ts'
import type { Guest } from './guest.ts'
import { callBatch } from '../kvm/one-reg.ts'
import { registers } from '../registers.ts'
import type { KvmSystem } from '../kvm/system.ts'

// A guest stands still while this runs, and it may have a thousand vCPUs: registers are kept in
// columns, whole columns are compared, and what stays the same from call to call is left in place.

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

const nobody: Guest = { vcpus: [], ids: [], descriptors: [], fds: new Int32Array() } as never

/** Some of the time registers of all vCPUs of a guest, in ticks, u64: register by register. */
export class TimerColumns {
  /** Whose they are: the last that {@link of} was asked for. */
  guest = nobody
  batch = new OneRegBatch(0)
  readonly #first: TimerIndex
  readonly #names: readonly TimerName[]
  #left = 0

  /** The registers from `first` on, to before `end`. */
  constructor(first: TimerIndex, end: TimerIndex) {
    this.#first = first
    this.#names = timerNames.slice(first, end)
  }

  /** Makes them those of a guest. What is in them is anyone's. */
  of(guest: Guest): this {
    const { length } = guest.fds
    const count = this.#names.length * length
    this.guest = guest
    if (this.batch.count !== count) this.batch = new OneRegBatch(count)
    else if (this.#left === 0) return this.#withFds(guest.fds)
    this.#left = 0
    this.#names.forEach((name, column) => {
      this.batch.ids.fill(registers[name].id, column * length, (column + 1) * length)
    })
    return this.#withFds(guest.fds)
  }

  /** Where the entry of a register of a vCPU, both by their indices, is in the batch. */
  index(register: TimerIndex, vcpu: number): number {
    return (register - this.#first) * this.guest.fds.length + vcpu
  }

  /** Whose entry that is. */
  owner(index: number): { vcpu: number; register: TimerName } {
    const { ids } = this.guest
    const register = this.#names[Math.floor(index / ids.length)] ?? 'TB_OFFSET'
    return { vcpu: ids[index % ids.length] ?? -1, register }
  }

  /** Leaves an entry out: the kernel is not asked for it. */
  leaveOut(index: number): void {
    this.batch.ids[index] = NO_REGISTER
    this.#left++
  }

  isLeftOut(index: number): boolean {
    return this.#left > 0 && this.batch.ids[index] === NO_REGISTER
  }

  /** The values of the first `count` registers, as bytes: not a copy. */
  bytes(count: number): Buffer {
    const { buffer, byteOffset } = this.batch.values
    return Buffer.from(buffer, byteOffset, count * 16 * this.guest.fds.length)
  }

  #withFds(fds: Int32Array): this {
    const { batch } = this
    batch.used = batch.count
    for (let at = 0; at < batch.count; at += fds.length) batch.fds.set(fds, at)
    return this
  }
}

/**
 * Lets go of a guest after a call. The columns stay for the next one, and would otherwise keep vCPUs from
 * being collected, and closed, that nothing else refers to.
 */
export function forgetGuest({ system }: Guest): void {
  const timers = timerMemoryOf(system)
  for (const columns of [timers.before, timers.offsets, timers.others]) columns.guest = nobody
}

/** The memory for moving a guest, kept for the next of the same size. */
export class TimerMemory {
  readonly before = new TimerColumns(TB_OFFSET, timerNames.length)
  readonly offsets = new TimerColumns(TB_OFFSET, DEC_EXPIRY)
  readonly others = new TimerColumns(DEC_EXPIRY, timerNames.length)
}

const memories = new WeakMap<KvmSystem, TimerMemory>()

export function timerMemoryOf(system: KvmSystem): TimerMemory {
  let memory = memories.get(system)
  if (memory === undefined) memories.set(system, (memory = new TimerMemory()))
  return memory
}

/** The time registers of a guest as they were read: good until those of its host are read again. */
export class Timers {
  readonly columns: TimerColumns
  /** Whether all vCPUs have all of them. */
  readonly areComplete: boolean

  constructor(columns: TimerColumns, areComplete: boolean) {
    this.columns = columns
    this.areComplete = areComplete
  }

  /** What register and vCPU, by their indices, hold; undefined if the vCPU lacks the register. */
  get(register: TimerIndex, vcpu: number): bigint | undefined {
    const { batch } = this.columns
    const index = this.columns.index(register, vcpu)
    if (!this.areComplete && (batch.results[index] ?? -1) < 0) return undefined
    return batch.get64(index)
  }

  /** Whether all vCPUs have the same offset, seen at a glance. */
  get haveOneOffset(): boolean {
    const offsets = this.columns.bytes(1)
    // Each like the one after it.
    return this.areComplete && offsets.subarray(16).equals(offsets.subarray(0, -16))
  }
}

/**
 * The time registers of every vCPU, in one crossing.
 *
 * @throws KvmError for an error that does not say that a register is absent
 */
export function readTimers(guest: Guest): Timers {
  const { system } = guest
  const columns = timerMemoryOf(system).before.of(guest)
  const areComplete = callBatch(system.kernel, 'KVM_GET_ONE_REG', columns.batch) === 0
  if (!areComplete) {
    columns.batch.results.forEach((result, index) => {
      if (result >= 0 || meansAbsent(result)) return
      throw new KvmError(result, { operation: 'KVM_GET_ONE_REG', ...columns.owner(index) })
    })
  }
  return new Timers(columns, areComplete)
}
