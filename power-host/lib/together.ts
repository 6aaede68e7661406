import type { Ended } from './boot.ts'
import { note } from './progress.ts'

/** Runs a host until its command has ended, or until the signal ends it, which makes it fail. */
export type HostRun = (giveUp: AbortSignal) => Promise<Ended>

/**
 * Runs two hosts that depend on each other. If one fails, or its command ends with another status than 0, the other
 * is ended, since it would wait until its time is up. The result of a host that was ended so is undefined.
 *
 * @throws the error of the host that failed
 */
export async function runTogether(
  first: HostRun,
  second: HostRun,
): Promise<[Ended | undefined, Ended | undefined]> {
  const over = new AbortController()
  const failures: unknown[] = []
  const endOther = (why: string): void => {
    note(`${why}; ending the other host`)
    over.abort()
  }
  const follow = async (which: string, run: HostRun): Promise<Ended | undefined> => {
    try {
      const ended = await run(over.signal)
      if (ended.status !== 0 && !over.signal.aborted) {
        endOther(`the command on the ${which} host ended with status ${ended.status}`)
      }
      return ended
    } catch (error) {
      if (over.signal.aborted) return undefined
      failures.push(error)
      endOther(`the ${which} host failed`)
      return undefined
    }
  }
  const results = await Promise.all([follow('first', first), follow('second', second)])
  if (failures.length > 0) throw failures[0]
  return results
}
