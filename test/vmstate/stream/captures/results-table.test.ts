import { expect, it } from 'vitest'
import type { Reading } from '../check-folder.ts'
import type { LedgerRow } from './ledger.ts'
import { resultsTable } from './results-table.ts'

const row = (qemu: string, migration: string, more: Partial<LedgerRow> = {}): LedgerRow => ({
  ...{ name: `${qemu}-${migration}-hash`, qemu, migration, machine: 'pseries-7.2', mmu: 'hash' },
  ...more,
})

const rows: LedgerRow[] = [
  row('11.1.3', 'plain', { machine: 'pseries-11.1' }),
  row('7.2.22', 'plain'),
  row('7.2.22', 'plain', { name: 'old', machine: 'pseries-2.10' }),
  row('7.2.22', 'plain', { name: 'older', machine: 'pseries-2.9' }),
  row('7.2.22', 'postcopy'),
  row('7.2.22', 'postcopy', { name: 'radix', mmu: 'radix' }),
  row('7.2.22', 'mapped-ram', { refusal: 'does not accept value |' }),
  row('11.1.3', 'mapped-ram', {
    machine: 'pseries-11.1',
    refusal: 'QEMU ended at query-migrate: a warning\nanother\nAssertion failed.\n',
  }),
]

const readings: Reading[] = [
  { stream: 'radix', way: 'file', ok: false, outcome: 'The section ended before', ms: 1 },
]

it('shows what became of each capture, and why not', () => {
  expect(resultsTable({ rows, good: {} }, readings)).toBe(
    [
      '| Migration | QEMU 7.2.22 | QEMU 11.1.3 |',
      '| --- | --- | --- |',
      '| `plain` | read | read |',
      '| `postcopy` | hash: read; radix: not read (1) |  |',
      '| `mapped-ram` | not done by QEMU (2) | not done by QEMU (3) |',
      '',
      '| Machine | QEMU 7.2.22 | QEMU 11.1.3 |',
      '| --- | --- | --- |',
      '| `pseries-2.9` | read |  |',
      '| `pseries-2.10` | read |  |',
      '| `pseries-7.2` | read |  |',
      '| `pseries-11.1` |  | read |',
      '',
      '1. file: The section ended before',
      '2. QEMU: does not accept value |',
      '3. QEMU: QEMU ended at query-migrate: Assertion failed.',
    ].join('\n'),
  )
})
