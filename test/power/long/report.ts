import type { Seen } from './life.ts'

/** How often something happened, and how long it took at worst. */
export interface Happened {
  readonly times: number
  readonly worstMs: number
}

/** How things stand at some moment. */
export interface State extends Seen {
  readonly seconds: number
  readonly rounds: number
  /** In bytes: JavaScript's objects, what they hold outside of V8's heap, and the process. */
  readonly heap: number
  readonly external: number
  readonly rss: number
  /** The guest's vCPUs left out, */
  readonly descriptors: number
  /** and here. */
  readonly threads: number
}

const MIB = 2 ** 20

/** How much more the end may have, in bytes: the collector does not return everything at once. */
const HEAP_SLACK = 2 * MIB
/** The memory of one guest is 16 MiB. */
const EXTERNAL_SLACK = 20 * MIB
/** malloc keeps what was freed, in an arena for each of some threads. */
const RSS_SLACK = 64 * MIB

export function print(happenings: ReadonlyMap<string, Happened>, states: readonly State[]): void {
  console.table(
    Object.fromEntries(
      [...happenings].map(([name, { times, worstMs }]) => [
        name,
        { times, 'worst, ms': Math.round(worstMs) },
      ]),
    ),
  )
  console.table(
    states.map(
      ({ seconds, rounds, reads, backwardSteps, heap, external, rss, descriptors, threads }) => ({
        seconds: Math.round(seconds),
        rounds,
        'timebase readings': Number(reads),
        'steps back': Number(backwardSteps),
        'heap, MiB': mebibytes(heap),
        'external, MiB': mebibytes(external),
        'rss, MiB': mebibytes(rss),
        descriptors,
        threads,
      }),
    ),
  )
}

/** What is not as it must be. */
export function wrong(
  happenings: ReadonlyMap<string, Happened>,
  states: readonly State[],
): string[] {
  const first = states.slice(0, Math.ceil(states.length / 4))
  const last = states.slice(-first.length)
  const most = (of: readonly State[], what: 'descriptors' | 'threads'): number =>
    Math.max(...of.map((state) => state[what]))
  // A leak raises the least value of many. The greatest depends on what was not collected yet at that moment.
  const least = (of: readonly State[], what: 'heap' | 'external' | 'rss'): number =>
    Math.min(...of.map((state) => state[what]))
  const never = [...happenings].filter(([, { times }]) => times === 0).map(([name]) => name)
  return [
    ...states
      .slice(-1)
      .flatMap(({ backwardSteps, reads }) => [
        ...(backwardSteps === 0n ? [] : [`the guest saw ${backwardSteps} steps back`]),
        ...(reads > 0n ? [] : ['the guest read nothing']),
      ]),
    ...(never.length === 0 ? [] : [`these never happened: ${never.join(', ')}`]),
    ...(['descriptors', 'threads'] as const)
      .filter((what) => most(last, what) > most(first, what))
      .map((what) => `${what} grew from ${most(first, what)} to ${most(last, what)}`),
    ...(
      [
        ['heap', HEAP_SLACK],
        ['external', EXTERNAL_SLACK],
        ['rss', RSS_SLACK],
      ] as const
    )
      .filter(([what, slack]) => least(last, what) > least(first, what) + slack)
      .map(
        ([what]) =>
          `${what} grew from ${mebibytes(least(first, what))} to ${mebibytes(least(last, what))} MiB`,
      ),
  ]
}

function mebibytes(bytes: number): number {
  return Math.round((bytes / MIB) * 10) / 10
}
