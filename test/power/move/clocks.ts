import type { Host } from '../../../lib/index.ts'
import { timeOfDay } from '../guest/index.ts'
import type { Wire } from './wire.ts'

/** The other host's wall clock less ours, in ns, and by how much that can be wrong. */
export interface ClockDifference {
  readonly ns: bigint
  readonly error: bigint
}

export async function compareClocks(wire: Wire): Promise<ClockDifference> {
  const { difference: ns, error } = await compare(wire, 'ns', () => timeOfDay.get())
  return { ns, error }
}

/** The other host's timebase less ours, in ticks, and by how much that can be wrong. */
export async function compareTimebases(wire: Wire, host: Host) {
  const { difference: ticks, error } = await compare(wire, 'timebase', () => host.timebase())
  return { ticks, error }
}

/** By asking for the time many times: the quickest answer is the best. */
async function compare(wire: Wire, clock: 'ns' | 'timebase', ours: () => bigint) {
  let best: { difference: bigint; error: bigint } | undefined
  for (let count = 0; count < 60; count++) {
    const asked = ours()
    const theirs = BigInt((await wire.ask({ do: 'time' }))[clock] as string)
    const error = (ours() - asked) / 2n
    if (best === undefined || error < best.error) {
      best = { difference: theirs - asked - error, error }
    }
  }
  if (best === undefined) throw new Error('nothing was asked')
  return best
}

/** Steps the other host's clock until it differs from ours by as much as wanted. */
export async function setClockDifference(wire: Wire, wanted: bigint): Promise<ClockDifference> {
  for (let count = 0; count < 2; count++) {
    const { ns } = await compareClocks(wire)
    await wire.ask({ do: 'step-clock', ns: (wanted - ns).toString() })
  }
  return compareClocks(wire)
}
