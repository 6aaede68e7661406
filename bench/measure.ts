import { Bench } from 'tinybench'
import { loadAddon } from '../lib/kernel/addon.ts'

/**
 * Returns the time of one call in ns, from the shortest of many rounds of `calls` calls each, since a
 * disturbance only makes a round longer.
 */
export function nsOfOne(calls: number, round: () => unknown, rounds = 20, warmUp = 300): number {
  const now = (): number => Number(process.hrtime.bigint()) / 1e6
  // V8 needs some hundred thousand calls until it does not recompile the code any more.
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

/** A call into C++ in raw Node-API that does nothing, since no batch is selected: the floor of every row. */
export function nsOfEmptyCall(calls: number): number {
  const words = new BigUint64Array(new SharedArrayBuffer(32))
  words[3] = 2n ** 32n
  const { getOneRegs: empty } = loadAddon().bindCalls(words)
  return nsOfOne(calls, () => {
    for (let call = 0; call < calls; call++) empty()
  })
}
