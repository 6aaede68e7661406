import { setImmediate, setTimeout } from 'node:timers/promises'
import { unpublished } from './channels.ts'
import { forgetLoad } from './last-load.ts'
import { loadTimebase } from './load.ts'
import type { PlanOptions } from './plan.ts'
import { saveTimebase } from './save.ts'
import { parseTimebase, serializeTimebase } from './state.ts'
import type { Vcpu } from '../kvm/vcpu.ts'

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
 * Saves and loads a scratch guest in every way until V8 has compiled the code for good. Nothing is published.
 *
 * @returns how often the guest was saved and loaded
 */
export async function warmUp(vcpus: readonly Vcpu[]): Promise<number> {
  // First, since V8 drops code that it has compiled when an option is new to it.
  const first = unpublished(() => saveTimebase(vcpus))
  await unpublished(() => loadTimebase(vcpus, first, { downtime: 'freeze', align: true }))
  let rounds = await moveForSomeTime(vcpus)
  for (let pause = 0; pause < PAUSES; pause++) {
    await setTimeout(PAUSE_MS)
    for (let round = 0; round < LEAST_ROUNDS; round++) moveOnTheSpot(vcpus, rounds++)
  }
  return rounds
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
  if (round % (2 * ways.length) >= ways.length) forgetLoad(vcpus)
  const way = ways[round % ways.length]
  unpublished(() => {
    loadTimebase(vcpus, parseTimebase(serializeTimebase(saveTimebase(vcpus))), way)
  })
}
