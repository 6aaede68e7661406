import { expect, it } from 'vitest'
import { stateLines } from '../../lib/cli/tree.ts'

it('an array has a line for each element', () => {
  expect(
    stateLines({
      list: [
        { a: 1, b: 2n },
        { a: 3, b: 4n },
      ],
    }),
  ).toEqual(['list[0]  a 1, b 2', 'list[1]  a 3, b 4'])
})

it('an element with more in it has more lines', () => {
  expect(stateLines({ list: [{ a: { b: 1 } }, { a: { b: 2 } }] })).toEqual([
    'list[0]',
    '  a',
    '    b  1',
    'list[1]',
    '  a',
    '    b  2',
  ])
})
