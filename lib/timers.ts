import { OneRegBatch } from './batch.ts'
import { KvmError, TimebaseNotAppliedError } from './errors.ts'
import type { NotRestored } from './errors.ts'
import { errnoName, meansAbsent } from './errno.ts'
import type { Host } from './host.ts'
import { registers } from './registers.ts'
import type { TimebaseSample } from './timebase.ts'
import type { Vcpu } from './vcpu.ts'

/** A vCPU's time registers. The offset comes first: kernels before 5.17 keep DEC_EXPIRY relative to it. */
const timerNames = ['TB_OFFSET', 'DEC_EXPIRY', 'VTB', 'PURR', 'SPURR'] as const

export type TimerName = (typeof timerNames)[number]

/** One vCPU's time registers, in ticks, u64; what its kernel lacks is not there. */
export type Timers = Partial<Record<TimerName, bigint>>

interface Entry {
  readonly vcpu: Vcpu
  readonly name: TimerName
  readonly value: bigint
}

/** An entry, and what the kernel answered to it. */
interface Answer extends Entry {
  /** 0 or `-errno`. */
  readonly result: number
  /** What the register holds, where it was read. */
  readonly held: bigint
}

/**
 * The time registers of every vCPU, in one crossing, and the host's clocks just after it: reading
 * waits for a vCPU that still runs, and a guest that is to be frozen loses the time until the sample.
 *
 * @throws KvmError for an error that does not say that a register is absent
 * @throws OneRegError ERR_KVM_UNAVAILABLE, as {@link Host.sample}
 */
export function readTimers(
  vcpus: readonly Vcpu[],
  host: Host,
): { timers: Timers[]; sample: TimebaseSample } {
  const entries = vcpus.flatMap((vcpu) => timerNames.map((name) => ({ vcpu, name, value: 0n })))
  const batch = batchOf(entries)
  host.kernel.getOneRegs(batch)
  const sample = host.sample()
  const timers = new Map(vcpus.map((vcpu): [Vcpu, Timers] => [vcpu, {}]))
  for (const { vcpu, name, result, held } of answersOf(entries, batch)) {
    if (result < 0 && !meansAbsent(result)) throw failure('KVM_GET_ONE_REG', vcpu, name, result)
    const ofVcpu = timers.get(vcpu)
    if (result >= 0 && ofVcpu !== undefined) ofVcpu[name] = held
  }
  return { timers: [...timers.values()], sample }
}

/**
 * Writes time registers to every vCPU, or to none: if a step fails, or a register does not hold what
 * was written, all are put back as they were `before`.
 *
 * @throws TimebaseNotAppliedError
 */
export function applyTimers(
  vcpus: readonly Vcpu[],
  before: readonly Timers[],
  wanted: readonly Timers[],
): void {
  const entries = entriesOf(vcpus, wanted)
  const offsets = entries.filter(({ name }) => name === 'TB_OFFSET')
  const others = entries.filter(({ name }) => name !== 'TB_OFFSET')
  // PURR, SPURR and VTB are not compared: they run, and on POWER8 siblings share a VTB.
  const expiries = entries.filter(({ name }) => name === 'DEC_EXPIRY')
  const problem = write(offsets) ?? verify(offsets) ?? write(others) ?? verify(expiries)
  if (problem === undefined) return
  throw new TimebaseNotAppliedError({
    ...problem,
    written: true,
    notRestored: putBack(entriesOf(vcpus, before)),
  })
}

interface Problem {
  readonly vcpu: number
  readonly register: TimerName
  readonly problem: string
  readonly cause?: KvmError
}

function write(entries: readonly Entry[]): Problem | undefined {
  const failed = writeEntries(entries).find(({ result }) => result < 0)
  return failed && asProblem('KVM_SET_ONE_REG', failed)
}

/** A set can succeed and do nothing: POWER9 DD1 (Linux 3d3efb68c19e). */
function verify(entries: readonly Entry[]): Problem | undefined {
  const wrong = readEntries(entries).find(({ result, held, value }) => result < 0 || held !== value)
  if (wrong === undefined) return undefined
  if (wrong.result < 0) return asProblem('KVM_GET_ONE_REG', wrong)
  const { vcpu, name, value, held } = wrong
  const problem = `${name} on vCPU ${vcpu.id} was set to ${value} and reads back as ${held}`
  return { vcpu: vcpu.id, register: name, problem }
}

/**
 * Writes the values from before and sees which registers hold them; where one cannot be read, the
 * kernel's word counts that it was written.
 */
function putBack(entries: readonly Entry[]): NotRestored[] {
  const written = writeEntries(entries)
  return readEntries(entries).flatMap(({ vcpu, name, value, result, held }, index) => {
    const set = written[index]?.result ?? 0
    if (result >= 0 ? held === value : set >= 0) return []
    const problem = [
      set < 0 ? `KVM_SET_ONE_REG: ${errnoName(set)}` : `was set to ${value}`,
      result < 0 ? `KVM_GET_ONE_REG: ${errnoName(result)}` : `reads ${held}`,
    ].join(', ')
    return [{ vcpu: vcpu.id, register: name, problem }]
  })
}

/** All offsets before all others. */
function entriesOf(vcpus: readonly Vcpu[], timers: readonly Timers[]): Entry[] {
  return timerNames.flatMap((name) =>
    vcpus.flatMap((vcpu, index) => {
      const value = timers[index]?.[name]
      return value === undefined ? [] : [{ vcpu, name, value }]
    }),
  )
}

function readEntries(entries: readonly Entry[]): Answer[] {
  const batch = batchOf(entries)
  entries[0]?.vcpu.host.kernel.getOneRegs(batch)
  return answersOf(entries, batch)
}

function writeEntries(entries: readonly Entry[]): Answer[] {
  const batch = batchOf(entries)
  entries.forEach(({ value }, index) => {
    batch.set64(index, value)
  })
  entries[0]?.vcpu.host.kernel.setOneRegs(batch)
  return answersOf(entries, batch)
}

function answersOf(entries: readonly Entry[], batch: OneRegBatch): Answer[] {
  return entries.map((entry, index) => ({
    ...entry,
    result: batch.results[index] ?? 0,
    held: batch.get64(index),
  }))
}

function batchOf(entries: readonly Entry[]): OneRegBatch {
  const batch = new OneRegBatch(entries.length)
  batch.fds.set(entries.map(({ vcpu }) => vcpu.fd))
  batch.ids.set(entries.map(({ name }) => registers[name].id))
  return batch
}

function failure(operation: string, vcpu: Vcpu, register: TimerName, result: number): KvmError {
  return new KvmError(result, { operation, register, vcpu: vcpu.id })
}

function asProblem(operation: string, { vcpu, name, result }: Answer): Problem {
  const cause = failure(operation, vcpu, name, result)
  return { vcpu: vcpu.id, register: name, problem: cause.message, cause }
}
