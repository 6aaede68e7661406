import { describe, expect, it } from 'vitest'
import { wrong } from './report.ts'
import type { State } from './report.ts'

const MIB = 2 ** 20
const happened = new Map([['save and load', { times: 1, worstMs: 1 }]])

/** A run in which everything but `changes` stays as it was. */
function run(changes: (part: number) => Partial<State> = () => ({})): State[] {
  return Array.from({ length: 31 }, (_, part) => ({
    seconds: part,
    rounds: part,
    reads: 1n,
    backwardSteps: 0n,
    heap: 9 * MIB,
    external: 3 * MIB,
    rss: 120 * MIB,
    descriptors: 29,
    threads: 12,
    ...changes(part),
  }))
}

describe('what the long run calls wrong', () => {
  it('is nothing where nothing grows', () => {
    expect(wrong(happened, run())).toEqual([])
  })

  it('is memory, descriptors and threads that grow', () => {
    const states = run((part) => ({
      heap: (9 + part / 5) * MIB,
      external: (3 + part) * MIB,
      rss: (120 + 4 * part) * MIB,
      descriptors: 29 + Math.floor(part / 30),
      threads: 12 + Math.floor(part / 30),
    }))
    expect(wrong(happened, states)).toEqual([
      'descriptors grew from 29 to 30',
      'threads grew from 12 to 13',
      'heap grew from 9 to 13.6 MiB',
      'external grew from 3 to 26 MiB',
      'rss grew from 120 to 212 MiB',
    ])
  })

  it('is not one value that was not collected yet at the end', () => {
    const late = run((part) => ({ heap: (part === 30 ? 30 : 9) * MIB }))
    expect(wrong(happened, late)).toEqual([])
  })

  it('is a step back, a guest that reads nothing, and an event that never happened', () => {
    const states = run(() => ({ backwardSteps: 1n, reads: 0n }))
    expect(wrong(new Map([['move', { times: 0, worstMs: 0 }]]), states)).toEqual([
      'the guest saw 1 steps back',
      'the guest read nothing',
      'these never happened: move',
    ])
  })
})
