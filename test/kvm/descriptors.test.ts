import { expect, it } from 'vitest'
import { runChild } from '../support/child.ts'
import { emulated, slowdown } from '../support/emulated.ts'
import { describeUnless, kvmLacks } from '../support/lacking.ts'

/** KVM_PPC_ROUNDS=100000 takes two minutes on an idle x86, and half an hour on the emulated host. */
const rounds = Number(process.env['KVM_PPC_ROUNDS'] ?? (emulated ? 500 : 5_000))

interface Held {
  readonly descriptors: number
  readonly threads: number
  readonly mappedFiles: number
  readonly mappings: number
}

interface Outcome {
  readonly seconds: number
  readonly before: Held
  readonly after: Held
}

describeUnless(kvmLacks, `${rounds} rounds of open, create, use and close`, () => {
  it(
    'leave as many descriptors, threads and mappings as there were',
    () => {
      const { seconds, before, after } = runChild('child-rounds.ts', [String(rounds)]) as Outcome
      console.log(
        `${rounds} rounds in ${seconds} s: ${JSON.stringify(before)} before, ${JSON.stringify(after)} after` +
          (rounds < 100_000 ? '; KVM_PPC_ROUNDS=100000 makes it 100000' : ''),
      )
      expect(after.descriptors).toBe(before.descriptors)
      expect(after.threads).toBe(before.threads)
      expect(after.mappedFiles).toBe(before.mappedFiles)
      // V8's heap comes and goes by some tens; what a round left behind would be as many as rounds.
      expect(after.mappings - before.mappings).toBeLessThan(Math.min(rounds / 10, 500))
    },
    20_000 * slowdown + rounds * (emulated ? 100 : 20),
  )
})
