import { expect, test } from 'vitest'
import { outcomeTable, type Outcome } from './table.ts'

const outcomes: Record<string, Outcome> = {
  'pseries 6.1': { status: 0, result: { passed: 286, failed: 0, skipped: 0 }, seconds: 47.4 },
  'pseries 7.2': { status: 1, result: { passed: 280, failed: 1, skipped: 5 }, seconds: 60 },
  'powernv9 6.1': { status: 124, result: undefined, seconds: 900.2 },
  'powernv9 7.2': { status: 125, result: undefined, seconds: 3 },
  'powernv10 6.1': { status: 1, result: { passed: 12, failed: 0, skipped: 0 }, seconds: 9.6 },
}

test('a row for each machine, a column for each kernel', () => {
  const machines = ['pseries', 'powernv9', 'powernv10']
  expect(
    outcomeTable(machines, ['6.1', '7.2'], (row, column) => outcomes[`${row} ${column}`]),
  ).toBe(
    '           6.1                      7.2\n' +
      'pseries    ok 286, 47 s             1 FAILED, 5 SKIPPED OF 286, 60 s\n' +
      'powernv9   TIMED OUT, 900 s         NO HOST, 3 s\n' +
      'powernv10  FAILED, BUT 12 OK, 10 s  not run\n',
  )
})

test('a run that ended without a word has its status', () => {
  const ended = { status: 139, result: undefined, seconds: 1 }
  expect(outcomeTable(['a'], ['b'], () => ended)).toContain('FAILED with status 139, 1 s')
})
