import { KvmError, TimebaseDivergedError, unavailable } from '../errors.ts'
import { meansAbsent } from '../errno.ts'
import { NO_REGISTER, OneRegBatch } from '../kernel/batch.ts'
import { addToAll } from '../kvm/call-queue.ts'
import { callBatch, callBatchAsync } from '../kvm/one-reg.ts'
import type { KvmSystem } from '../kvm/system.ts'
import { registers } from '../registers.ts'
import { checkStillOpen } from './guest.ts'
import type { Guest } from './guest.ts'
import { timeRegisters } from './timers.ts'
import type { TimeRegister, TimerIndex, TimerName } from './timers.ts'

// The guest does not run while this code does, and it may have a thousand vCPUs. So the registers are kept
// in columns, whole columns are compared, and memory is used again by the next call.

/** The indices of TB_OFFSET, which all vCPUs of a guest share, and of the first of the other registers. */
const TB_OFFSET = 0
const OTHERS = 1

/** In a batch a value takes four words of 32 bits, of which a time register uses the first two. */
const VALUE_WORDS = 4

const noGuest: Guest = { vcpus: [], ids: [], descriptors: [], fds: new Int32Array() } as never

/**
 * Some of the time registers of all vCPUs of a guest, in ticks, u64. They are kept in the memory of one
 * batch, register by register: first the first register of every vCPU, then the second of every vCPU.
 */
export class TimeRegisters {
  guest = noGuest
  batch = new OneRegBatch(0)
  /** After {@link readTimeRegisters}: whether every vCPU has every one of the registers. */
  areComplete = false
  /** The columns whose registers are read back after they were written. */
  readonly readBack: readonly number[]
  /** How many columns there are up to the last of those. */
  readonly columnsToReadBack: number
  readonly #first: TimerIndex
  readonly #rows: readonly TimeRegister[]
  /** How many vCPUs the guest has: the length of a column. */
  #length = 0
  /** The descriptors that every column of the batch has. */
  #fds = noGuest.fds
  #kept = new Uint32Array()
  /** Whether an entry is left out, so that its id must be written again for the next guest. */
  #hasLeftOut = false

  /** @param end the index after the last register's */
  constructor(first: TimerIndex, end: TimerIndex) {
    this.#first = first
    this.#rows = timeRegisters.slice(first, end)
    this.readBack = this.#rows.flatMap(({ isReadBack }, column) => (isReadBack ? column : []))
    this.columnsToReadBack = this.#rows.findLastIndex(({ isReadBack }) => isReadBack) + 1
  }

  /** Points ids and descriptors at this guest's vCPUs. The values are left over from the last guest. */
  bindTo(guest: Guest): this {
    const { length } = guest.fds
    const count = this.#rows.length * length
    this.guest = guest
    this.#length = length
    if (this.batch.count !== count) {
      this.batch = new OneRegBatch(count)
      this.#kept = new Uint32Array(count * VALUE_WORDS)
    } else if (!this.#hasLeftOut) return this.#withFds(guest.fds)
    this.#hasLeftOut = false
    this.#rows.forEach(({ name }, column) => {
      this.batch.ids.fill(registers[name].id, column * length, (column + 1) * length)
    })
    return this.#withFds(guest.fds)
  }

  /** Lets go of the guest, whose vCPUs could otherwise not be garbage-collected and closed. */
  release(): void {
    this.guest = noGuest
  }

  /** The index in the batch of a register on a vCPU, both given by their indices. */
  index(register: TimerIndex, vcpu: number): number {
    // V8 would check a product by * for an overflow and for -0.
    return Math.imul(register - this.#first, this.#length) + vcpu
  }

  /** The vCPU's id and the register's name for an index in the batch. */
  owner(index: number): { vcpu: number; register: TimerName } {
    const { ids } = this.guest
    const register = this.#rows[Math.floor(index / ids.length)]?.name ?? 'TB_OFFSET'
    return { vcpu: ids[index % ids.length] ?? -1, register }
  }

  /** The value of a register on a vCPU, both given by their indices; undefined if the vCPU lacks it. */
  get(register: TimerIndex, vcpu: number): bigint | undefined {
    const index = this.index(register, vcpu)
    if (!this.areComplete && (this.batch.results[index] ?? -1) < 0) return undefined
    return this.batch.get64(index)
  }

  /** Puts one value into all entries. */
  fill(ticks: bigint): void {
    this.batch.words64.fill(ticks)
  }

  /** Puts a value to write to a register of a vCPU, both given by their indices; undefined leaves it out. */
  put(register: TimerIndex, vcpu: number, ticks: bigint | undefined): void {
    const index = this.index(register, vcpu)
    if (ticks === undefined) this.leaveOut(index)
    else this.batch.set64(index, ticks)
  }

  /**
   * Leaves out the values for registers that a vCPU does not have.
   *
   * @param read the result of {@link readTimeRegisters} for the same guest
   * @returns the vCPU and the register of each value that is left out by this
   */
  leaveOutAbsent(read: TimeRegisters): { vcpu: number; register: TimerName }[] {
    if (read.areComplete) return []
    const absent: { vcpu: number; register: TimerName }[] = []
    for (let vcpu = 0; vcpu < this.#length; vcpu++) {
      this.#rows.forEach((_, column) => {
        const register = this.#first + column
        const index = this.index(register, vcpu)
        if (this.isLeftOut(index) || read.get(register, vcpu) !== undefined) return
        this.leaveOut(index)
        absent.push(this.owner(index))
      })
    }
    return absent
  }

  /** Excludes an entry from the batch: the kernel is not asked for it. */
  leaveOut(index: number): void {
    this.batch.ids[index] = NO_REGISTER
    this.#hasLeftOut = true
  }

  isLeftOut(index: number): boolean {
    return this.batch.ids[index] === NO_REGISTER
  }

  // Values are compared as words of 32 bits, since V8 makes a bigint of every word of 64 bits.

  /** Keeps the values of the entries in use, for {@link firstDifference} and {@link kept}. */
  keep(): void {
    this.#kept.set(this.batch.words32.subarray(0, VALUE_WORDS * this.batch.used))
  }

  /** The first index of a column at which the batch has another value than was kept; -1 if there is none. */
  firstDifference(column: number): number {
    const { words32 } = this.batch
    const kept = this.#kept
    const start = column * this.#length
    const end = start + this.#length
    for (let index = start; index < end; index++) {
      const word = index * VALUE_WORDS
      if (words32[word] !== kept[word] || words32[word + 1] !== kept[word + 1]) return index
    }
    return -1
  }

  /** The kept value for an index in the batch. */
  kept(index: number): bigint {
    return new BigUint64Array(this.#kept.buffer)[(index * VALUE_WORDS) / 2] ?? 0n
  }

  /** Whether every vCPU has the offset of the first. Each of them must have one. */
  isOneOffset(): boolean {
    const { words32 } = this.batch
    const [low, high] = words32
    const end = VALUE_WORDS * this.#length
    for (let word = 0; word < end; word += VALUE_WORDS) {
      if (words32[word] !== low || words32[word + 1] !== high) return false
    }
    return true
  }

  #withFds(fds: Int32Array): this {
    const { batch } = this
    if (batch.used !== batch.count) batch.used = batch.count
    if (this.#fds === fds) return this
    this.#fds = fds
    for (let at = 0; at < batch.count; at += fds.length) batch.fds.set(fds, at)
    return this
  }
}

/** The memory for moving a guest. It is used again by the next call for a guest of the same host. */
interface TimerMemory {
  /** All registers, as they were before a load. */
  readonly before: TimeRegisters
  /** TB_OFFSET, which is written and read back first. */
  readonly offsets: TimeRegisters
  readonly others: TimeRegisters
}

const memories = new WeakMap<KvmSystem, TimerMemory>()

export function timerMemoryOf(system: KvmSystem): TimerMemory {
  let memory = memories.get(system)
  if (memory === undefined) {
    memory = {
      before: new TimeRegisters(TB_OFFSET, timeRegisters.length),
      offsets: new TimeRegisters(TB_OFFSET, OTHERS),
      others: new TimeRegisters(OTHERS, timeRegisters.length),
    }
    memories.set(system, memory)
  }
  return memory
}

/** To be called at the end of every call that reads or writes the time registers of a guest. */
export function forgetGuest({ system }: Guest): void {
  const { before, offsets, others } = timerMemoryOf(system)
  before.release()
  offsets.release()
  others.release()
}

/**
 * Reads the time registers of every vCPU in one crossing into the kernel.
 *
 * @returns memory that the next call for a guest of the same host uses again
 * @throws KvmError for an error that does not say that a register is absent
 */
export function readTimeRegisters(guest: Guest): TimeRegisters {
  const { system } = guest
  const read = timerMemoryOf(system).before.bindTo(guest)
  read.areComplete = callBatch(system.kernel, 'KVM_GET_ONE_REG', read.batch) === 0
  if (!read.areComplete) checkAbsent(read)
  return read
}

/** Checks that those which could not be read are absent. */
function checkAbsent(read: TimeRegisters): void {
  read.batch.results.forEach((result, index) => {
    if (result >= 0 || meansAbsent(result)) return
    throw new KvmError(result, { operation: 'KVM_GET_ONE_REG', ...read.owner(index) })
  })
}

/**
 * {@link readTimeRegisters} off the JavaScript thread, once no other call waits for one of the vCPUs.
 *
 * @returns memory of its own, since other calls are made meanwhile
 */
export async function readTimeRegistersAsync(
  guest: Guest,
  signal: AbortSignal | undefined,
): Promise<TimeRegisters> {
  const { system, descriptors } = guest
  const read = new TimeRegisters(TB_OFFSET, timeRegisters.length).bindTo(guest)
  const queues = descriptors.map(({ calls }) => calls)
  const result = await addToAll(
    queues,
    async () => {
      checkStillOpen(guest)
      return callBatchAsync(system.kernel, 'KVM_GET_ONE_REG', read.batch)
    },
    signal,
  )
  if (result < 0) throw new KvmError(result, { operation: 'pthread_create' })
  checkAbsent(read)
  return read
}

/**
 * The offset of a vCPU, given by its index.
 *
 * @throws OneRegError ERR_KVM_UNAVAILABLE
 */
export function offsetOf(read: TimeRegisters, vcpu: number): bigint {
  const offset = read.get(TB_OFFSET, vcpu)
  if (offset !== undefined) return offset
  throw unavailable(
    'no-timebase-offset',
    `vCPU ${read.guest.ids[vcpu] ?? '?'} has no KVM_REG_PPC_TB_OFFSET: it needs Linux 3.13 with HV KVM on POWER7 or later; PR KVM, BookE and other processors do not have it`,
  )
}

/**
 * The offset that all vCPUs have.
 *
 * @throws TimebaseDivergedError if they have different ones
 * @throws OneRegError ERR_KVM_UNAVAILABLE
 */
export function commonOffset(read: TimeRegisters): bigint {
  checkOffsets(read)
  if (read.isOneOffset()) return offsetOf(read, 0)
  throw new TimebaseDivergedError(
    read.guest.ids.map((vcpu, index) => ({ vcpu, offset: offsetOf(read, index) })),
  )
}

/**
 * Checks that every vCPU has an offset.
 *
 * @throws OneRegError ERR_KVM_UNAVAILABLE
 */
export function checkOffsets(read: TimeRegisters): void {
  if (read.areComplete) return
  read.guest.fds.forEach((_, vcpu) => offsetOf(read, vcpu))
}
