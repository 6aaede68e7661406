import { fileURLToPath } from 'node:url'
import { expect, it, vi } from 'vitest'
import { emulated } from '../../../support/emulated.ts'
import { checkFolder } from '../check-folder.ts'
import type { Reading } from '../check-folder.ts'
import { readExpected } from '../expected.ts'

/** Captures that `npm run check:streams -- record --keep` has put here. */
const folder = fileURLToPath(new URL('../data/captures', import.meta.url))
const { good, bad } = await readExpected(folder)

// 5 MB each, in several ways.
vi.setConfig({ testTimeout: 300_000 })

/** An emulated processor has time for a few. */
const those = Object.entries(good).filter((_, index) => !emulated || index % 6 === 0)

it.each(those)('a migration is read as its destination has read it: %s', async (name, stream) => {
  const readings: Reading[] = []
  const alone = { good: { [name]: stream }, bad: {} }
  for await (const reading of checkFolder(folder, alone)) readings.push(reading)
  expect(readings.filter(({ ok }) => !ok)).toEqual([])
  expect(readings.length).toBeGreaterThanOrEqual(3)
})

it.each(Object.entries(bad))(
  'a connection beside the stream is refused: %s',
  async (name, stream) => {
    const readings: Reading[] = []
    const alone = { good: {}, bad: { [name]: stream } }
    for await (const reading of checkFolder(folder, alone)) readings.push(reading)
    for (const { outcome } of readings) expect(outcome).toContain('ERR_VMSTATE')
    expect(readings.filter(({ ok }) => !ok)).toEqual([])
  },
)
