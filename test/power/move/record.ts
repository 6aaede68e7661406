import { release } from 'node:os'
import { setTimeout as wait } from 'node:timers/promises'
import type { Host } from '../../../lib/index.ts'
import { serializeTimebase } from '../../../lib/index.ts'
import { say } from '../steps.ts'
import { algorithmNames } from './algorithms.ts'
import type { AlgorithmName } from './algorithms.ts'
import { compareTimebases } from './clocks.ts'
import { Visitor } from './stay.ts'
import type { Departure, Stay } from './stay.ts'
import type { Wire } from './wire.ts'

/** What scripts/draw-move.ts draws. 64-bit values are decimal strings. */
export interface Recording {
  readonly linux: string
  readonly vcpus: number
  /** Hz. */
  readonly timebaseFrequency: string
  /** The second host's timebase less the first one's, in ticks, and by how much that can be wrong. */
  readonly difference: { readonly ticks: string; readonly error: string }
  readonly trips: readonly { readonly algorithm: AlgorithmName; readonly stays: readonly Stay[] }[]
}

const MOVES = 6
const RUN_MS = 1500

/** A guest moves there and back three times, by each algorithm, and goes on each time where it stopped. */
export async function record(host: Host, wire: Wire, vcpus: number): Promise<Recording> {
  const frequency = host.timebaseFrequency
  const difference = await compareTimebases(wire, host)
  const trips = []
  for (const algorithm of algorithmNames) {
    say(`\nRecording ${MOVES} moves with ${algorithm}`)
    trips.push({ algorithm, stays: await trip(host, wire, vcpus, algorithm, difference.ticks) })
  }
  return {
    linux: release(),
    vcpus,
    timebaseFrequency: frequency.toString(),
    difference: { ticks: difference.ticks.toString(), error: difference.error.toString() },
    trips,
  }
}

async function trip(
  host: Host,
  wire: Wire,
  vcpus: number,
  algorithm: AlgorithmName,
  difference: bigint,
): Promise<Stay[]> {
  // Below both hosts' timebases, so that in a picture the lines do not cross.
  const lower = difference < 0n ? difference : 0n
  const guestTimebase = BigInt.asUintN(64, host.timebase() + lower - 2n * host.timebaseFrequency)
  let visitor = new Visitor(host, 'first', algorithm, vcpus)
  await visitor.begin(beginning(host, algorithm, guestTimebase))
  const stays: Stay[] = []
  for (let move = 0; move < MOVES; move += 2) {
    await wait(RUN_MS)
    const left = visitor.depart()
    await wire.ask({ do: 'arrive', algorithm, ...left })
    await wait(RUN_MS)
    const back = (await wire.ask({ do: 'depart' })) as unknown as Departure
    visitor = new Visitor(host, 'first', algorithm, vcpus)
    await visitor.arrive(back)
    stays.push(left.stay, back.stay)
  }
  await wait(RUN_MS)
  stays.push(visitor.depart().stay)
  return stays
}

/** What the algorithm would have saved, had it stopped a guest at this timebase. */
function beginning(host: Host, algorithm: AlgorithmName, guestTimebase: bigint): string {
  if (algorithm === 'remembered offset') return guestTimebase.toString()
  return serializeTimebase({
    guestTimebase,
    timeOfDayNs: host.sample().timeOfDayNs,
    timebaseFrequency: host.timebaseFrequency,
    uncertaintyNs: 0n,
    offset: 0n,
    vcpus: [],
  })
}
