import { Bench } from 'tinybench'

/**
 * How long one call takes, in ns: the shortest of many rounds of `calls` calls each, since whatever
 * disturbs a round only makes it longer.
 */
export function nsOfOne(calls: number, round: () => void, rounds = 20, warmUp = 300): number {
  const now = (): number => Number(process.hrtime.bigint()) / 1e6
  // The compiler needs some hundred thousand calls until the code is as it stays.
  const bench = new Bench({
    now,
    iterations: rounds,
    time: 0,
    warmupIterations: warmUp,
    warmupTime: 0,
  })
  bench.add('round', round)
  const [task] = bench.runSync()
  const result = task?.result
  if (result?.state !== 'completed') throw new Error('The round failed', { cause: result })
  return (result.latency.min * 1e6) / calls
}
