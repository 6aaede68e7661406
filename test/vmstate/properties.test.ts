import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decode, encode } from '../../lib/vmstate/index.ts'
import { VmstateError } from '../../lib/errors.ts'
import { caught } from '../support/caught.ts'
import { cases } from '../support/emulated.ts'
import { describedStates, ownDescriptions } from '../support/vmstate-states.ts'

describe('what is encoded decodes to the same', () => {
  it.each(ownDescriptions)('with $name', { timeout: 60_000 }, ({ description, states }) => {
    fc.assert(
      fc.property(states, (state) => {
        // The state is the destination, too: it has what equal fields are compared with.
        const back = decode(description, encode(description, state), { destination: state })
        expect(back).toStrictEqual(state)
      }),
      { numRuns: cases(description.name === 'cpu' ? 30 : 300) },
    )
  })

  it('with any description', { timeout: 60_000 }, () => {
    fc.assert(
      fc.property(describedStates, ({ description, state }) => {
        const back = decode(description, encode(description, state), { destination: state })
        expect(back).toStrictEqual(state)
      }),
      { numRuns: cases(2_000) },
    )
  })
})

describe('what decodes encodes to the same bytes', () => {
  it('with any description, whatever bytes were changed', { timeout: 60_000 }, () => {
    fc.assert(
      fc.property(describedStates, fc.nat(), fc.nat(255), ({ description, state }, at, value) => {
        const bytes = encode(description, state)
        if (bytes.length > 0) bytes[at % bytes.length] = value
        let read: unknown
        try {
          read = decode(description, bytes, { destination: 'unknown' })
        } catch (error) {
          if (error instanceof VmstateError) return
          throw error
        }
        const again = encode(description, read)
        expect(again.length).toBe(bytes.length)
        // Unused bytes alone can differ, and a second reading sees no difference.
        expect(decode(description, again, { destination: 'unknown' })).toStrictEqual(read)
      }),
      { numRuns: cases(2_000) },
    )
  })
})

describe('bytes that are cut', () => {
  it.each(ownDescriptions.filter(({ name }) => !['cpu', 'spapr'].includes(name)))(
    'are refused wherever the cut is, with $name',
    ({ description, states }) => {
      fc.assert(
        fc.property(states, (state) => {
          const bytes = encode(description, state)
          for (let length = 0; length < bytes.length; length++) {
            const error = caught(VmstateError, () =>
              decode(description, bytes.subarray(0, length), { destination: state }),
            )
            expect(error.code).toBe('ERR_VMSTATE_TRUNCATED')
            expect(error.offset).toBeLessThanOrEqual(length)
          }
        }),
        { numRuns: cases(20) },
      )
    },
  )
})
