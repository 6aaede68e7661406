import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { describeUnless } from '../../../support/lacking.ts'
import { qemuLacks } from '../../../support/qemu-stream.ts'
import { checkFolder } from '../check-folder.ts'
import type { Reading } from '../check-folder.ts'
import { chosenLacks } from './chosen.ts'
import { Ledger } from './ledger.ts'
import { qemuProgram } from './qemu-program.ts'
import { capturesOf, record } from './record.ts'

/** Each within seconds: the pages of RAM go elsewhere, or not at all. */
const QUICK = ['multifd', 'ignore-shared', 'dirty-bitmaps-none', 'compress']

// A busy machine gives the two QEMUs and objdump little time.
vi.setConfig({ testTimeout: 300_000, hookTimeout: 300_000 })

describeUnless(qemuLacks ?? chosenLacks, 'a migration between two QEMUs', () => {
  let folder: string
  let ledger: Ledger
  const readings: Reading[] = []

  beforeAll(async () => {
    folder = mkdtempSync(path.join(tmpdir(), 'captures-'))
    ledger = await Ledger.open(folder)
    const qemu = await qemuProgram('/usr/bin/qemu-system-ppc64')
    const unknown = { name: 'unknown', capabilities: ['no-such-capability'] }
    const captures = capturesOf(qemu, QUICK)
    const [first] = captures
    if (first === undefined) throw new Error('there is nothing to record')
    captures.push({ ...first, name: 'unknown', kind: unknown })
    const said: string[] = []
    const failures = await record(captures, ledger, (line) => said.push(line))
    expect([failures, said]).toEqual([0, expect.anything()])
    for await (const reading of checkFolder(folder, ledger)) readings.push(reading)
  })
  afterAll(() => {
    rmSync(folder, { recursive: true })
  })

  it('gives streams that are read as the destination has read them, with the numbers chosen beforehand', () => {
    const wrong = readings.filter(({ ok }) => !ok)
    expect(wrong).toEqual([])
    const streams = new Set(readings.map(({ stream }) => stream))
    expect(streams.size).toBeGreaterThanOrEqual(3)
    for (const expected of Object.values(ledger.good)) {
      expect(expected.devices?.map(([, name]) => name)).toContain('spapr')
    }
  })

  it('has the other connections of multifd apart, which are not streams', () => {
    const channels = readings.filter(({ stream }) => stream.includes('multifd'))
    expect(channels.filter(({ stream }) => stream.includes('channel')).length).toBeGreaterThan(0)
  })

  it('lists what QEMU refuses in its own words', () => {
    const refused = ledger.rows.find(({ name }) => name === 'unknown')
    expect(refused?.refusal).toContain('no-such-capability')
  })
})
