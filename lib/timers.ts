import type { OneRegBatch } from './batch.ts'
import { KvmError, TimebaseNotAppliedError } from './errors.ts'
import type { NotRestored } from './errors.ts'
import { errnoName, meansAbsent } from './errno.ts'
import type { Host } from './host.ts'
import { registers } from './registers.ts'
import type { Vcpu } from './vcpu.ts'

// A guest stands still while this runs, and it may have a thousand vCPUs: registers are kept in
// columns, and nothing is made for each of them.

/** A vCPU's time registers. The offset comes first: kernels before 5.17 keep DEC_EXPIRY relative to it. */
export const timerNames = ['TB_OFFSET', 'DEC_EXPIRY', 'VTB', 'PURR', 'SPURR'] as const

export type TimerName = (typeof timerNames)[number]

const ids = timerNames.map((name) => registers[name].id)

/** Which of {@link timerNames}. */
type TimerIndex = number
export const TB_OFFSET = timerNames.indexOf('TB_OFFSET')
export const DEC_EXPIRY = timerNames.indexOf('DEC_EXPIRY')

/** The time registers of some vCPUs, in ticks, u64, as they were read. */
export class Timers {
  readonly vcpus: readonly Vcpu[]
  readonly #batch: OneRegBatch

  /** @param batch register by register, each of all vCPUs */
  constructor(vcpus: readonly Vcpu[], batch: OneRegBatch) {
    this.vcpus = vcpus
    this.#batch = batch
  }

  /** What register and vCPU, by their indices, hold; undefined if the vCPU lacks the register. */
  get(register: TimerIndex, vcpu: number): bigint | undefined {
    const index = register * this.vcpus.length + vcpu
    return (this.#batch.results[index] ?? -1) < 0 ? undefined : this.#batch.get64(index)
  }
}

/**
 * The time registers of every vCPU, in one crossing. What it gives is good until the next call for as
 * many vCPUs of the same host.
 *
 * @throws KvmError for an error that does not say that a register is absent
 */
export function readTimers(vcpus: readonly Vcpu[], host: Host): Timers {
  const count = vcpus.length
  const batch = host.batch(timerNames.length * count)
  const fds = fdsOf(vcpus)
  ids.forEach((id, register) => {
    batch.ids.fill(id, register * count, (register + 1) * count)
    batch.fds.set(fds, register * count)
  })
  host.kernel.getOneRegs(batch)
  const { results } = batch
  for (let index = 0; index < results.length; index++) {
    const result = results[index] ?? 0
    if (result < 0 && !meansAbsent(result)) {
      const register = timerNames[Math.floor(index / count)]
      const vcpu = vcpus[index % count]?.id
      throw new KvmError(result, { operation: 'KVM_GET_ONE_REG', register, vcpu })
    }
  }
  return new Timers(vcpus, batch)
}

/** Values for time registers: of entry i, register `which[i]` of vCPU `owners[i]`, by their indices. */
export class TimerEntries {
  readonly vcpus: readonly Vcpu[]
  readonly which: TimerIndex[] = []
  readonly owners: number[] = []
  readonly values: bigint[] = []

  constructor(vcpus: readonly Vcpu[]) {
    this.vcpus = vcpus
  }

  add(register: TimerIndex, vcpu: number, value: bigint): void {
    this.which.push(register)
    this.owners.push(vcpu)
    this.values.push(value)
  }

  get length(): number {
    return this.values.length
  }

  /** What entry i is about, in words for an error. */
  describe(index: number): { vcpu: number; register: TimerName } {
    const { id = -1 } = this.vcpus[this.owners[index] ?? -1] ?? {}
    return { vcpu: id, register: timerNames[this.which[index] ?? -1] ?? 'TB_OFFSET' }
  }

  /** Those of one register. */
  of(register: TimerIndex): TimerEntries {
    return this.#filtered((which) => which === register)
  }

  except(register: TimerIndex): TimerEntries {
    return this.#filtered((which) => which !== register)
  }

  #filtered(keep: (which: TimerIndex) => boolean): TimerEntries {
    const kept = new TimerEntries(this.vcpus)
    this.which.forEach((which, index) => {
      if (keep(which)) kept.add(which, this.owners[index] ?? -1, this.values[index] ?? 0n)
    })
    return kept
  }
}

/**
 * Writes time registers to every vCPU, or to none: if a step fails, or a register does not hold what
 * was written, all are put back as they were `before`.
 *
 * @param wanted register by register, as {@link timerNames} has them
 * @throws TimebaseNotAppliedError
 */
export function applyTimers(host: Host, before: Timers, wanted: TimerEntries): void {
  const offsets = wanted.of(TB_OFFSET)
  const others = wanted.except(TB_OFFSET)
  // PURR, SPURR and VTB are not compared: they run, and on POWER8 siblings share a VTB.
  const expiries = wanted.of(DEC_EXPIRY)
  const problem =
    write(host, offsets) ?? verify(host, offsets) ?? write(host, others) ?? verify(host, expiries)
  if (problem === undefined) return
  throw new TimebaseNotAppliedError({
    ...problem,
    written: true,
    notRestored: putBack(host, asEntries(before)),
  })
}

interface Problem {
  readonly vcpu: number
  readonly register: TimerName
  readonly problem: string
  readonly cause?: KvmError
}

function write(host: Host, entries: TimerEntries): Problem | undefined {
  const { results } = setEntries(host, entries)
  const failed = results.findIndex((result) => result < 0)
  return failed < 0 ? undefined : asProblem('KVM_SET_ONE_REG', entries, failed, results[failed])
}

/** A set can succeed and do nothing: POWER9 DD1 (Linux 3d3efb68c19e). */
function verify(host: Host, entries: TimerEntries): Problem | undefined {
  const batch = getEntries(host, entries)
  const { values, length } = entries
  for (let index = 0; index < length; index++) {
    const result = batch.results[index] ?? 0
    if (result < 0) return asProblem('KVM_GET_ONE_REG', entries, index, result)
    const held = batch.get64(index)
    const value = values[index] ?? 0n
    if (held === value) continue
    const { vcpu, register } = entries.describe(index)
    const problem = `${register} on vCPU ${vcpu} was set to ${value} and reads back as ${held}`
    return { vcpu, register, problem }
  }
  return undefined
}

/**
 * Writes the values from before and sees which registers hold them; where one cannot be read, the
 * kernel's word counts that it was written.
 */
function putBack(host: Host, entries: TimerEntries): NotRestored[] {
  const written = setEntries(host, entries).results.slice()
  const batch = getEntries(host, entries)
  return entries.values.flatMap((value, index) => {
    const set = written[index] ?? 0
    const result = batch.results[index] ?? 0
    const held = batch.get64(index)
    if (result >= 0 ? held === value : set >= 0) return []
    const problem = [
      set < 0 ? `KVM_SET_ONE_REG: ${errnoName(set)}` : `was set to ${value}`,
      result < 0 ? `KVM_GET_ONE_REG: ${errnoName(result)}` : `reads ${held}`,
    ].join(', ')
    return [{ ...entries.describe(index), problem }]
  })
}

/** What was read, to be written: all offsets before all others. */
function asEntries(timers: Timers): TimerEntries {
  const entries = new TimerEntries(timers.vcpus)
  timerNames.forEach((_, register) => {
    timers.vcpus.forEach((_, vcpu) => {
      const value = timers.get(register, vcpu)
      if (value !== undefined) entries.add(register, vcpu, value)
    })
  })
  return entries
}

function getEntries(host: Host, entries: TimerEntries): OneRegBatch {
  const batch = batchFor(host, entries)
  host.kernel.getOneRegs(batch)
  return batch
}

function setEntries(host: Host, entries: TimerEntries): OneRegBatch {
  const batch = batchFor(host, entries)
  const { values, length } = entries
  for (let index = 0; index < length; index++) batch.set64(index, values[index] ?? 0n)
  host.kernel.setOneRegs(batch)
  return batch
}

function batchFor(host: Host, entries: TimerEntries): OneRegBatch {
  const { which, owners, length } = entries
  const batch = host.batch(length)
  const fds = fdsOf(entries.vcpus)
  for (let index = 0; index < length; index++) {
    batch.fds[index] = fds[owners[index] ?? -1] ?? -1
    batch.ids[index] = ids[which[index] ?? -1] ?? 0n
  }
  return batch
}

function fdsOf(vcpus: readonly Vcpu[]): number[] {
  return vcpus.map(({ fd }) => fd)
}

function asProblem(
  operation: string,
  entries: TimerEntries,
  index: number,
  result: number | undefined,
): Problem {
  const about = entries.describe(index)
  const cause = new KvmError(result ?? 0, { operation, ...about })
  return { ...about, problem: cause.message, cause }
}
