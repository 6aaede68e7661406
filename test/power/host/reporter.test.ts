import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'

const vitest = path.resolve(import.meta.dirname, '../../../node_modules/vitest/vitest.mjs')
const reporter = path.resolve(import.meta.dirname, 'reporter.ts')

let folder: string

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'reporter-'))
})

afterEach(() => {
  rmSync(folder, { recursive: true })
})

/** Runs Vitest with our reporter alone on one file. */
function run(source: string, ...args: string[]): { status: number | null; said: string } {
  writeFileSync(path.join(folder, 'a.test.js'), source)
  const { status, stderr } = spawnSync(
    process.execPath,
    [vitest, 'run', '--root', folder, '--globals', `--reporter=${reporter}`, ...args],
    { encoding: 'utf8', env: { ...process.env, VITEST: '', NO_COLOR: '1' } },
  )
  return { status, said: stderr }
}

const passing = "test('passes', () => {})\n"

describe('StrictReporter', { timeout: 30_000 }, () => {
  test('has nothing to say of tests that pass', () => {
    expect(run(passing)).toEqual({ status: 0, said: '' })
  })

  test('makes a failure of each test that did not run, and names it', () => {
    const { status, said } = run(
      `${passing}
      test.skip('left out', () => {})
      test.todo('to be written')
      test('gives up', ({ skip }) => skip('no time'))
      describe.skipIf(true)('a group', () => { test('in it', () => {}) })
      describe.todo('another group')
      `,
    )
    expect(status).toBe(1)
    expect(said).toBe(
      `
Skipped, which is a failure here (5):
  a.test.js > left out
  a.test.js > to be written
  a.test.js > gives up [no time]
  a.test.js > a group > in it
  a.test.js > another group

`,
    )
  })

  test('does not count what --testNamePattern leaves out', () => {
    const source = `${passing}
      describe('a group', () => { test('in it', () => {}) })
      test.skip('left out', () => {})
    `
    expect(run(source, '--testNamePattern=^a group in')).toEqual({ status: 0, said: '' })
    expect(run(source, '--testNamePattern=out$').said).toContain('(1):\n  a.test.js > left out\n')
  })

  test('leaves a failure a failure', () => {
    expect(run("test('fails', () => expect(1).toBe(2))").status).toBe(1)
  })
})
