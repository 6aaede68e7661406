import { timeOfDay } from '../guest/index.ts'
import type { Wire } from './wire.ts'

/** The other host's wall clock less ours, in ns, and by how much that can be wrong. */
export interface ClockDifference {
  readonly ns: bigint
  readonly error: bigint
}

/** By asking for the time many times: the quickest answer is the best. */
export async function compareClocks(wire: Wire): Promise<ClockDifference> {
  let best: ClockDifference | undefined
  for (let count = 0; count < 60; count++) {
    const asked = timeOfDay.get()
    const theirs = BigInt((await wire.ask({ do: 'time' }))['ns'] as string)
    const answered = timeOfDay.get()
    const error = (answered - asked) / 2n
    if (best === undefined || error < best.error) best = { ns: theirs - asked - error, error }
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
