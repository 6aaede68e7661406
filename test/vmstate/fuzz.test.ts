import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { VmstateError } from '../../lib/errors.ts'
import { decode, encode } from '../../lib/vmstate/index.ts'
import type { VmstateDescription } from '../../lib/vmstate/index.ts'
import { cases } from '../support/emulated.ts'
import { describedStates, ownDescriptions } from '../support/vmstate-states.ts'
import { Dice, mutated } from './mutations.ts'

const BLOBS = cases(120_000, 1 / 80)

/** One in so many is a `cpu`, which is two hundred times as long as the others. */
const CPU_SHARE = 20

/** The same in every run, so that CI is; FUZZ_SEED=… is another one. */
const seed = Number(process.env['FUZZ_SEED'] ?? 1)

interface Blob {
  readonly description: VmstateDescription
  readonly bytes: Uint8Array
  readonly state: unknown
}

function blobs(): { cpus: Blob[]; others: Blob[] } {
  const own = ownDescriptions.flatMap(({ description, states }) =>
    fc.sample(states, { numRuns: 10, seed }).map((state) => ({ description, state })),
  )
  const random = fc.sample(describedStates, { numRuns: 200, seed })
  const all = [...own, ...random].map(({ description, state }) => ({
    description,
    state,
    bytes: encode(description, state),
  }))
  return {
    cpus: all.filter(({ description }) => description.name === 'cpu'),
    others: all.filter(({ description }) => description.name !== 'cpu'),
  }
}

/** Whether it was read. Throws what is neither a value nor an error of ours. */
function isRead({ description, state }: Blob, bytes: Uint8Array, dice: Dice): boolean {
  const versionId = dice.below(8) === 0 ? dice.below(8) : description.versionId
  const destination = dice.below(2) === 0 ? 'unknown' : state
  try {
    const read = decode(description, bytes, { versionId, destination })
    // Had anything been made that the bytes do not have, it would be longer.
    expect(encode(description, read, { versionId }).length).toBe(bytes.length)
    return true
  } catch (error) {
    if (!(error instanceof VmstateError)) throw error
    expect(error.offset).toBeLessThanOrEqual(bytes.length)
    return false
  }
}

describe('mutated blobs', () => {
  it(`end in a value or an error of ours: ${BLOBS} of them`, { timeout: 120_000 }, () => {
    const dice = new Dice(seed)
    const { cpus, others } = blobs()
    const all = others.map(({ bytes }) => bytes)
    const outcomes = { read: 0, refused: 0 }
    for (let index = 0; index < BLOBS; index++) {
      const blob = dice.pick(dice.below(CPU_SHARE) === 0 ? cpus : others)
      const bytes = mutated(blob.bytes, dice, all)
      try {
        outcomes[isRead(blob, bytes, dice) ? 'read' : 'refused']++
      } catch (error) {
        const what = `FUZZ_SEED=${seed}, blob ${index} of ${blob.description.name}: ${bytes.toString('hex')}`
        throw new Error(what, { cause: error })
      }
    }
    // Both happen often, or the mutations are too coarse or too fine to find anything.
    expect(outcomes.read).toBeGreaterThan(BLOBS / 20)
    expect(outcomes.refused).toBeGreaterThan(BLOBS / 20)
  })
})
