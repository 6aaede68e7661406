import { KvmError, TimebaseDivergedError, unavailable } from '../errors.ts'
import { meansAbsent } from '../errno.ts'
import { addToAll } from '../kvm/call-queue.ts'
import { callBatch, callBatchAsync } from '../kvm/one-reg.ts'
import type { KvmSystem } from '../kvm/system.ts'
import { checkStillOpen } from './guest.ts'
import type { Guest } from './guest.ts'
import {
  bind,
  columnsOf,
  isOneOffset,
  memoryFor,
  ownerOf,
  release,
  valueOf,
} from './time-registers.ts'
import type { TimeRegisters } from './time-registers.ts'
import { timeRegisters } from './timers.ts'

/** The index of TB_OFFSET, which all vCPUs of a guest share. */
const TB_OFFSET = 0

const allColumns = columnsOf(TB_OFFSET, timeRegisters.length)
const offsetColumn = columnsOf(TB_OFFSET, TB_OFFSET + 1)
const otherColumns = columnsOf(TB_OFFSET + 1, timeRegisters.length)

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
      before: memoryFor(allColumns),
      offsets: memoryFor(offsetColumn),
      others: memoryFor(otherColumns),
    }
    memories.set(system, memory)
  }
  return memory
}

/** To be called at the end of every call that reads or writes the time registers of a guest. */
export function forgetGuest(guest: Guest): void {
  const { before, offsets, others } = timerMemoryOf(guest.system)
  release(before, guest)
  release(offsets, guest)
  release(others, guest)
}

/**
 * Reads the time registers of every vCPU in one crossing into the kernel.
 *
 * @returns memory that the next call for a guest of the same host uses again
 * @throws KvmError for an error that does not say that a register is absent
 */
export function readTimeRegisters(guest: Guest): TimeRegisters {
  const { system } = guest
  const read = bind(timerMemoryOf(system).before, guest)
  read.areComplete = callBatch(system.kernel, 'KVM_GET_ONE_REG', read.batch) === 0
  if (!read.areComplete) checkAbsent(read)
  return read
}

/** Checks that those which could not be read are absent. */
function checkAbsent(read: TimeRegisters): void {
  read.batch.results.forEach((result, index) => {
    if (result >= 0 || meansAbsent(result)) return
    throw new KvmError(result, { operation: 'KVM_GET_ONE_REG', ...ownerOf(read, index) })
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
  const read = bind(memoryFor(allColumns), guest)
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
  const offset = valueOf(read, TB_OFFSET, vcpu)
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
  if (isOneOffset(read)) return offsetOf(read, 0)
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
