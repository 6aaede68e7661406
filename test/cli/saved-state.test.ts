import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { serializeTimebase } from '../../lib/index.ts'
import type { TimebaseState } from '../../lib/index.ts'
import { commandLine } from '../support/command-line.ts'

const folder = mkdtempSync(path.join(tmpdir(), 'saved-state-'))
afterAll(() => {
  rmSync(folder, { recursive: true })
})
beforeEach(() => {
  vi.stubEnv('KVM_PPC_BACKEND', 'software')
})
afterEach(() => {
  vi.unstubAllEnvs()
})

const SECOND = 1_000_000_000n
const now = () => BigInt(Date.now()) * 1_000_000n

/** Writes a state to a file: one that was saved 2 s ago, with what the test changes. */
function saved(changes: Partial<TimebaseState> = {}): string {
  const state: TimebaseState = {
    guestTimebase: 1n << 40n,
    timeOfDayNs: now() - 2n * SECOND,
    timebaseFrequency: 512_000_000n,
    uncertaintyNs: 40n,
    offset: 0n,
    vcpus: [{ id: 0, decExpiry: 7n, vtb: 5n }],
    clock: { synchronised: true, maxErrorNs: 1_000_000n },
    ...changes,
  }
  const file = path.join(folder, 'state.json')
  writeFileSync(file, serializeTimebase(state))
  return file
}

describe('check', () => {
  it('says line by line that a host can load a state', async () => {
    const { status, stdout, stderr } = await commandLine(['check', saved()])
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    expect(stdout).toMatch(/^ok +frequency +512,000,000 Hz, as on the source/m)
    expect(stdout).toMatch(/^ok +TB_OFFSET +works/m)
    expect(stdout).toMatch(/^ok +DEC_EXPIRY +saved for one vCPU, and this kernel has it/m)
    expect(stdout).toMatch(/^ok +VTB +saved/m)
    expect(stdout).not.toMatch(/PURR/)
    expect(stdout).toMatch(/^ok +time since the save +[2-9]\.\d{3} s: it was saved at 20/m)
    expect(stdout).toMatch(/^ok +the source's clock +synchronised, wrong by 1\.0 ms at most/m)
    expect(stdout).toMatch(/\nThis host can load that timebase\.\n$/)
  })

  it.each<[what: string, changes: Partial<TimebaseState>, line: RegExp, status: number]>([
    [
      'another frequency',
      { timebaseFrequency: 500_000_000n },
      /^FAIL +frequency +512,000,000 Hz, and the guest has 500,000,000 Hz\n +to do: choose/m,
      1,
    ],
    [
      'a wall clock that is behind',
      { timeOfDayNs: now() + 3_600n * SECOND },
      /^FAIL +time since the save +this wall clock is 3\d{3}\.\d{3} s behind[^]*to do: synch/m,
      1,
    ],
    [
      'a clock that was not synchronised',
      { clock: { synchronised: false, maxErrorNs: 0n } },
      /^warn +the source's clock +not synchronised/m,
      0,
    ],
  ])('names %s', async (_what, changes, line, status) => {
    const outcome = await commandLine(['check', saved(changes)])
    expect(outcome.status).toBe(status)
    expect(outcome.stdout).toMatch(line)
  })

  it('says what is wrong with a file that is not a state', async () => {
    const file = path.join(folder, 'other.json')
    writeFileSync(file, '{"format":"other"}')
    for (const command of ['check', 'plan']) {
      const { status, stdout, stderr } = await commandLine([command, file])
      expect({ status, stdout }).toEqual({ status: 1, stdout: '' })
      expect(stderr).toMatch(/^kvm-ppc-onereg: .*kvm-ppc-onereg\/timebase.*\n$/)
    }
  })
})

describe('plan', () => {
  it('shows the numbers of a load', async () => {
    const { status, stdout, stderr } = await commandLine(['plan', saved()])
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    expect(stdout).toMatch(/^write TB_OFFSET +[\d,-]+ ticks$/m)
    expect(stdout).toMatch(/^count as downtime +[2-9]\d{3}\.\d{3} ms$/m)
    expect(stdout).toMatch(/^be off in all by at most +\d+\.\d{3} ms$/m)
  })

  it('takes the options of a load', async () => {
    const frozen = await commandLine(['plan', '--downtime', 'freeze', '--json', saved()])
    const { advancedTicks } = JSON.parse(frozen.stdout) as { advancedTicks: string }
    expect(BigInt(advancedTicks)).toBeLessThan(1n << 24n)
    const refused = await commandLine(['plan', '--max-downtime-ns', '1000', saved()])
    expect({ status: refused.status, stdout: refused.stdout }).toEqual({ status: 1, stdout: '' })
    expect(refused.stderr).toMatch(/^kvm-ppc-onereg: By the two hosts' clocks .*maxDowntimeNs/)
  })

  it.each([
    [['--downtime', 'stop']],
    [['--rounding', 'down']],
    [['--max-downtime-ns', '1.5']],
    [['--max-downtime-ns', '-1']],
  ])('refuses %j', async (wrong) => {
    const { status, stderr } = await commandLine(['plan', ...wrong, saved()])
    expect(status).toBe(2)
    expect(stderr).toContain("(try 'kvm-ppc-onereg plan --help')")
  })
})
