import { createRequire } from 'node:module'
import path from 'node:path'

/** The exports of clock.cc. */
interface Addon {
  timeOfDay(): bigint
  stepTimeOfDay(ns: bigint): void
}

function addon(): Addon {
  const file = path.resolve(import.meta.dirname, 'build/Release/power_clock.node')
  return createRequire(import.meta.url)(file) as Addon
}

/** The host's CLOCK_REALTIME, in ns since the epoch. */
export const timeOfDay = {
  get: (): bigint => addon().timeOfDay(),
  /** Forwards or back. */
  step: (ns: bigint): void => {
    addon().stepTimeOfDay(ns)
  },
}
