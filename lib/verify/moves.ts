import { expiryToWrite } from '../kvm/decrementer.ts'
import type { AlignOptions } from '../timebase/load.ts'
import type { LoadOutcome } from '../timebase/outcomes.ts'
import { TIMEBASE_OFFSET_STEP } from '../timebase/plan.ts'
import type { PlanOptions } from '../timebase/plan.ts'
import { parseTimebase, serializeTimebase } from '../timebase/state.ts'
import type { TimebaseState } from '../timebase/state.ts'
import { RunningGuest } from './guest.ts'
import { end, run, start } from './run.ts'
import type { Running } from './run.ts'
import { ahead, count, largest, magnitude, mean, median, smallest, sum, ticks } from './trial.ts'
import type { Found, Trial } from './trial.ts'

/** A way to load a timebase. */
export type Way = PlanOptions | AlignOptions

const NS_PER_SECOND = 1_000_000_000n
const SECONDS_PER_YEAR = 31_557_600n
/** There and back. */
const LEAST_MOVES = 2

/**
 * Moves a guest there and back between two VMs in one of the ways. Its saved state goes through text. Where
 * the time counts during which it is away, the text pretends that it was away for up to a second longer:
 * on one host the exact offset would otherwise always be a whole number of steps.
 */
export async function move(way: Way, trial: Trial): Promise<Found> {
  const { host, signal, vcpus } = trial
  using here = new RunningGuest(host, 'watch', vcpus)
  using there = new RunningGuest(host, 'watch', vcpus)
  const journey = new Journey(way, trial)
  for (const vcpu of here.vcpus) vcpu.set('TB_OFFSET', host.timebaseFrequency * SECONDS_PER_YEAR)
  await run(here, trial)
  const started = performance.now()
  let [from, to] = [here, there]
  while (journey.moves < LEAST_MOVES || performance.now() - started < trial.moveForMs) {
    signal.throwIfAborted()
    await journey.move(from, to)
    ;[from, to] = [to, from]
    trial.tell(`${journey.moves} moves`)
  }
  return journey.found(from)
}

/** What a vCPU holds after a load. */
interface Held {
  readonly offset: bigint
  readonly decExpiry: bigint | undefined
}

function heldBy({ vcpus }: RunningGuest): Held[] {
  return vcpus.map((vcpu) => ({
    offset: vcpu.get('TB_OFFSET'),
    decExpiry: vcpu.has('DEC_EXPIRY') ? vcpu.get('DEC_EXPIRY') : undefined,
  }))
}

/** The moves of one guest, and what was seen of each. */
class Journey {
  readonly #way: Way
  readonly #trial: Trial
  /** How far the guest was ahead of where it should have been, in ticks. */
  readonly #errors: bigint[] = []
  /** From the guest timebase with which it went on to the first value that it read. */
  readonly #resumes: bigint[] = []
  readonly #firstOffset: { value?: bigint } = {}
  readonly #began
  #awayTicks = 0n
  #uncertaintyNs = 0n

  constructor(way: Way, trial: Trial) {
    this.#way = way
    this.#trial = trial
    this.#began = trial.host.sample()
  }

  get moves(): number {
    return this.#errors.length
  }

  async move(from: RunningGuest, to: RunningGuest): Promise<void> {
    const { calls } = this.#trial
    this.#arm(from)
    const saved = parseTimebase(serializeTimebase(calls.saveTimebase(from.vcpus)))
    this.#firstOffset.value ??= from.vcpus[0]?.get('TB_OFFSET') ?? 0n
    this.#checkSaved(from, saved)
    to.takeFrom(from)
    to.noteNextStep(saved.guestTimebase)
    const state = this.#pretendAway(saved)
    const { outcome, running } = await this.#load(to, state)
    await end(running, this.#trial)
    const first = to.vcpus.map((_, vcpu) => to.watched(vcpu).first ?? outcome.guestTimebase)
    this.#resumes.push(largest(first.map((value) => ahead(value, outcome.guestTimebase))))
  }

  /** Loads a state and starts the guest. What the vCPUs hold is read in between: later they run. */
  async #load(
    to: RunningGuest,
    state: TimebaseState,
  ): Promise<{ outcome: LoadOutcome; running: Running }> {
    const { host, calls } = this.#trial
    const before = host.timebase()
    let started: { held: readonly Held[]; running: Running } | undefined
    const go = (at?: bigint) => ({ held: heldBy(to), running: start(to, at) })
    const way =
      'align' in this.#way
        ? { ...this.#way, onWritten: (at: bigint) => void (started = go(at)) }
        : this.#way
    const outcome = await calls.loadTimebase(to.vcpus, state, way as AlignOptions)
    const after = host.timebase()
    const { held, running } = started ?? go()
    this.#checkLoaded(held, state, outcome, { before, after })
    return { outcome, running }
  }

  /** Gives each vCPU a decrementer that is due some seconds from now, which has to arrive to the tick. */
  #arm({ host, vcpus }: RunningGuest): void {
    for (const [index, vcpu] of vcpus.entries()) {
      if (!vcpu.has('DEC_EXPIRY')) continue
      const due = (3n + BigInt(index % 7)) * host.timebaseFrequency + BigInt(index)
      const now = host.timebase() + vcpu.get('TB_OFFSET')
      vcpu.set('DEC_EXPIRY', BigInt.asUintN(64, now + due))
    }
  }

  #checkSaved(guest: RunningGuest, { guestTimebase }: TimebaseState): void {
    for (const vcpu of guest.vcpus.keys()) {
      const lead = ahead(guest.watched(vcpu).last, guestTimebase)
      this.#trial.problems.expect(
        lead <= 0n,
        () => `vCPU ${vcpu} had read a value ${lead} ticks above the saved timebase`,
      )
    }
  }

  #pretendAway(state: TimebaseState): TimebaseState {
    if (this.#way.downtime === 'freeze') return state
    // At least three steps: then the nearest is not cut off by the one at which the guest stopped.
    const awayNs = 100_000_000n + BigInt(Math.floor(Math.random() * 900_000_000))
    this.#awayTicks += (awayNs * state.timebaseFrequency) / NS_PER_SECOND
    return { ...state, timeOfDayNs: state.timeOfDayNs - awayNs }
  }

  #checkLoaded(
    held: readonly Held[],
    state: TimebaseState,
    outcome: LoadOutcome,
    loaded: { before: bigint; after: bigint },
  ): void {
    for (const [vcpu, { offset }] of held.entries()) {
      this.#trial.problems.expect(
        offset === outcome.offset,
        () => `vCPU ${vcpu} holds TB_OFFSET ${offset}, and ${outcome.offset} was to be loaded`,
      )
    }
    const { offset = 0n } = held[0] ?? {}
    const { guestTimebase } = outcome
    this.#trial.problems.expect(
      ahead(guestTimebase, loaded.before + offset) >= 0n &&
        ahead(loaded.after + offset, guestTimebase) >= 0n,
      () => 'the guest did not go on during the load with the timebase that the load returned',
    )
    const advanced = ahead(guestTimebase, state.guestTimebase)
    this.#trial.problems.expect(
      advanced >= 0n,
      () => `the load took the guest back by ${-advanced} ticks`,
    )
    this.#checkDecrementers(held, state, guestTimebase)
    this.#uncertaintyNs += outcome.uncertaintyNs
    const isFrozen = this.#way.downtime === 'freeze'
    const first = this.#firstOffset.value ?? 0n
    this.#errors.push(isFrozen ? advanced : ahead(offset, first) - this.#awayTicks)
  }

  #checkDecrementers(held: readonly Held[], state: TimebaseState, guestTimebase: bigint): void {
    for (const [index, { decExpiry }] of held.entries()) {
      if (decExpiry === undefined) continue
      const saved = state.vcpus[index]?.decExpiry
      const wanted = saved === undefined ? undefined : expiryToWrite(saved, guestTimebase)
      this.#trial.problems.expect(
        decExpiry === wanted,
        () =>
          `vCPU ${index} holds DEC_EXPIRY ${decExpiry} after the load, not ${wanted ?? 'one that was saved'}`,
      )
    }
  }

  found(guest: RunningGuest): Found {
    this.#judgeErrors()
    const seen = guest.vcpus.map((_, vcpu) => guest.watched(vcpu))
    const sizes = this.#errors.map(magnitude)
    return {
      figures: [
        count('moves', this.moves),
        count('readings', sum(seen.map(({ reads }) => reads))),
        count('steps back', sum(seen.map(({ backwardSteps }) => backwardSteps))),
        ticks('mean error', mean(this.#errors)),
        ticks('worst error', largest(sizes)),
        ticks('median first reading', median(this.#resumes)),
        ticks('latest first reading', largest(this.#resumes)),
      ],
    }
  }

  #judgeErrors(): void {
    const step = TIMEBASE_OFFSET_STEP
    const isFrozen = this.#way.downtime === 'freeze'
    const isUp = this.#way.rounding === 'up'
    // A frozen guest never goes on before the tick at which it stopped, and so cannot be behind.
    const [least, most] = isFrozen
      ? [0n, 'align' in this.#way ? 0n : step - 1n]
      : isUp
        ? [-this.#clocks(), step + this.#clocks()]
        : [-step / 2n - this.#clocks(), step / 2n + this.#clocks()]
    const [lowest, highest] = [smallest(this.#errors), largest(this.#errors)]
    this.#trial.problems.expect(
      lowest >= least && highest <= most,
      () =>
        `the guest was from ${lowest} to ${highest} ticks ahead of where it should be, beyond ${least} to ${most}`,
    )
  }

  /** By how much the wall clock and the timebase of this host disagree about these moves, in ticks. */
  #clocks(): bigint {
    const { host } = this.#trial
    const now = host.sample()
    const frequency = host.timebaseFrequency
    const byWallClock = ((now.timeOfDayNs - this.#began.timeOfDayNs) * frequency) / NS_PER_SECOND
    const drift = magnitude(byWallClock - (now.timebase - this.#began.timebase))
    const reading = now.uncertaintyNs + this.#began.uncertaintyNs + this.#uncertaintyNs
    // Each conversion between ns and ticks rounds by one.
    return drift + (reading * frequency) / NS_PER_SECOND + 4n * BigInt(this.moves + 1)
  }
}
