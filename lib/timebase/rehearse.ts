import { setImmediate, setTimeout } from 'node:timers/promises'
import { checkFromOne, checkObject, checkOptionNames, wrongType } from '../checks.ts'
import type { WallClock } from '../kernel/wall-clock.ts'
import { Host } from '../kvm/host.ts'
import type { Vcpu } from '../kvm/vcpu.ts'
import { unpublished } from './channels.ts'
import { rememberLoad } from './last-load.ts'
import { loadTimebase } from './load.ts'
import type { PlanOptions } from './plan.ts'
import { saveTimebase } from './save.ts'
import { parseTimebase, serializeTimebase, STATE_VCPU_LIMIT } from './state.ts'
import type { TimebaseState } from './state.ts'
import { timeRegisters } from './timers.ts'
import type { TimerName } from './timers.ts'

/**
 * The options of {@link rehearse}.
 *
 * @group Moving the timebase
 */
export interface RehearseOptions {
  /** How many vCPUs the guest has that will be saved or loaded, from 1 to 16,384. The default is 1. */
  readonly vcpus?: number
}

/**
 * The result of {@link rehearse}.
 *
 * @group Moving the timebase
 */
export interface Rehearsal {
  /** Ticks per second of this host's timebase, in Hz. A state of another frequency cannot be loaded here. */
  readonly timebaseFrequency: bigint
  /** How far apart the instants can be at which the two clocks of a sample are read, in ns. */
  readonly uncertaintyNs: bigint
  /** How accurate the host's wall clock is, if its kernel tells it. */
  readonly clock?: WallClock
  /** The time registers that this kernel has; a load writes those of them that were saved. */
  readonly registers: readonly TimerName[]
  /** How often the scratch guest was saved and loaded. */
  readonly rounds: number
}

/**
 * The ways of loading, one for each round in turn. The objects differ in their properties as those of callers do:
 * code that V8 has compiled for some of them is dropped when another comes.
 */
const ways: readonly PlanOptions[] = [
  {},
  { maxDowntimeNs: 1n << 62n },
  { downtime: 'freeze' },
  { downtime: 'freeze', rounding: 'up' },
  { downtime: 'advance', rounding: 'up', maxDowntimeNs: 1n << 62n },
]

/** After so many rounds V8 has compiled the code of a save and a load for good: see docs/performance.md. */
const ENOUGH_ROUNDS = 3000
/** A large guest needs fewer rounds, since each of them repeats the same loops for every vCPU. */
const ENOUGH_VCPUS = 12000
const LEAST_ROUNDS = 20
/** On a slow machine the rest is left out. */
const ENOUGH_MS = 1500
/** How long the event loop is blocked at a time, in ms. */
const TURN_MS = 20
/** V8 compiles on a thread of its own, which needs time to end, and takes the code into use in the next calls. */
const PAUSES = 3
const PAUSE_MS = 20

/**
 * Saves and loads the timebase of a scratch guest, again and again, for some tenths of a second. Call it before
 * the guest is stopped on the source, and on the destination before the state arrives: the first save and the
 * first load of a process take many times as long as later ones, because Node compiles the code while it runs,
 * and the guest stands still meanwhile.
 *
 * It is also a check: what a load needs of this kernel was used, TB_OFFSET written and read back, before a
 * guest depends on it. The scratch guest is a VM of its own with vCPUs that never run. It is closed at the end,
 * also after an error, and none of its saves and loads is published on the diagnostics channels.
 *
 *     await rehearse(host, { vcpus: vcpus.length })
 *
 * @param host the host, from {@link openHost}
 * @param options how many vCPUs the guest has
 * @throws OneRegError ERR_KVM_UNAVAILABLE if the kernel has no TB_OFFSET (Linux 3.13, HV KVM), or the machine no
 *   timebase; ERR_KVM_CLOSED
 * @throws TimebaseNotAppliedError if TB_OFFSET does not hold what was written
 * @throws KvmError if the kernel refuses a VM, or so many vCPUs
 * @throws TypeError, RangeError for a wrong argument
 * @example
 * ```ts
 * const { clock } = await rehearse(host, { vcpus: 16 })
 * ```
 * @group Moving the timebase
 */
export async function rehearse(host: Host, options: RehearseOptions = {}): Promise<Rehearsal> {
  if (!(host instanceof Host)) throw wrongType('host', 'a Host', host)
  checkOptionNames('options', checkObject('options', options), ['vcpus'])
  const { vcpus: count = 1 } = options
  checkFromOne('options.vcpus', count, STATE_VCPU_LIMIT)
  const vm = host.createVm()
  try {
    const vcpus = Array.from({ length: count }, (_, id) => vm.createVcpu(id))
    // First, since V8 drops code that it has compiled when an option is new to it.
    const first = unpublished(() => saveTimebase(vcpus))
    await unpublished(() => loadTimebase(vcpus, first, { downtime: 'freeze', align: true }))
    let rounds = await moveForSomeTime(vcpus)
    for (let pause = 0; pause < PAUSES; pause++) {
      await setTimeout(PAUSE_MS)
      for (let round = 0; round < LEAST_ROUNDS; round++) moveOnTheSpot(vcpus, rounds++)
    }
    return { ...found(unpublished(() => saveTimebase(vcpus))), rounds }
  } finally {
    vm.close()
  }
}

async function moveForSomeTime(vcpus: readonly Vcpu[]): Promise<number> {
  const enough = Math.max(LEAST_ROUNDS, Math.min(ENOUGH_ROUNDS, ENOUGH_VCPUS / vcpus.length))
  const started = performance.now()
  let turn = started
  let round = 0
  for (; round < enough; round++) {
    const now = performance.now()
    if (round >= LEAST_ROUNDS && now - started > ENOUGH_MS) break
    if (now - turn > TURN_MS) {
      await setImmediate()
      turn = performance.now()
    }
    moveOnTheSpot(vcpus, round)
  }
  return round
}

function moveOnTheSpot(vcpus: readonly Vcpu[], round: number): void {
  // The state of a guest that was never loaded has a field less. Both kinds meet every way in turn.
  if (round % (2 * ways.length) >= ways.length) rememberLoad(vcpus, undefined)
  const way = ways[round % ways.length]
  unpublished(() => {
    loadTimebase(vcpus, parseTimebase(serializeTimebase(saveTimebase(vcpus))), way)
  })
}

function found(state: TimebaseState): Omit<Rehearsal, 'rounds'> {
  const { timebaseFrequency, uncertaintyNs, clock, vcpus } = state
  const has = ({ field }: (typeof timeRegisters)[number]): boolean =>
    field === undefined || vcpus.every((timers) => timers[field] !== undefined)
  return {
    timebaseFrequency,
    uncertaintyNs,
    ...(clock === undefined ? {} : { clock }),
    registers: timeRegisters.filter(has).map(({ name }) => name),
  }
}
