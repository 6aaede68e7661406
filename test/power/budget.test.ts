import { expect, test } from 'vitest'
import { timeForOneMore } from './budget.ts'

test.each([
  // Whatever the budget is, the first run begins.
  [1, [], true],
  [100, [30, 40], false],
  [100, [30, 20, 20], true],
  [100, [30, 20, 21], false],
  [100, [50], true],
  [100, [51], false],
  [Infinity, [1e6, 1e9], true],
])('of %s s after runs of %j s: %s', (budget, taken, expected) => {
  expect(timeForOneMore(budget, taken)).toBe(expected)
})
