import { readFileSync } from 'node:fs'
import { stripVTControlCharacters } from 'node:util'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { certificateText } from '../../lib/cli/certificate.ts'
import { json } from '../../lib/cli/print.ts'
import { Status } from '../../lib/cli/progress.ts'
import type { Certificate } from '../../lib/verify/index.ts'
import { commandLine } from '../support/command-line.ts'

const kept: Certificate = {
  machine: 'linux-ppc64, Linux 6.12.95, Node v24.0.0',
  processor: 'POWER9 (architected), altivec supported',
  kind: 'nested-v1',
  timebaseFrequency: 512_000_000n,
  model: { machine: 'pseries POWER9', linux: '6.12' },
  vcpus: 2,
  seconds: 10,
  ok: true,
  promises: [
    {
      name: 'freeze, up',
      kept: true,
      problems: [],
      figures: [
        { name: 'moves', value: 1234n, unit: 'count' },
        { name: 'mean error', value: -512n, unit: 'ticks' },
        { name: 'first save', value: 1_500_000n, unit: 'ns' },
        { name: 'latest', value: 1_024_000_000n, unit: 'ticks' },
        { name: 'worst error', value: 0n, unit: 'ticks' },
      ],
    },
  ],
  differences: [],
}

const broken: Certificate = {
  ...kept,
  kind: null,
  model: null,
  ok: false,
  promises: [
    ...kept.promises,
    { name: 'hot-plug', kept: false, problems: ['One thing.', 'Another.'], figures: [] },
  ],
  differences: [{ register: 'DEXCR', found: 'EINVAL', expected: '0' }],
}

beforeEach(() => {
  for (const name of ['NO_COLOR', 'FORCE_COLOR', 'COLUMNS']) vi.stubEnv(name, undefined)
})
afterEach(() => {
  vi.unstubAllEnvs()
})

describe('verify', () => {
  it.each([[], ['--json'], ['--seconds', '1', '--vcpus', '1']])(
    'says without KVM for POWER that it needs it, and how to run it on an emulated host',
    async (...args) => {
      vi.stubEnv('KVM_PPC_BACKEND', 'software')
      const { status, stdout, stderr } = await commandLine(['verify', ...args])
      expect({ status, stdout }).toEqual({ status: 1, stdout: '' })
      expect(stderr).toMatch(/^kvm-ppc-onereg: Only a guest that runs .*\n$/)
      expect(stderr).toContain('npm run power -- verify')
    },
  )

  it.each([
    ['--seconds', '0'],
    ['--seconds', '3601'],
    ['--seconds', '1.5'],
    ['--vcpus', '0'],
    ['--vcpus', '1025'],
    ['--vcpus', 'x'],
  ])('refuses %s %s as wrong usage', async (...args) => {
    const { status, stderr } = await commandLine(['verify', ...args])
    expect(status).toBe(2)
    expect(stderr).toMatch(/It must be a whole number from 1 to (3600|1024)\./)
  })
})

describe('the report of verify', () => {
  it('has the host, each promise with what was seen, and the verdict', () => {
    const text = certificateText(kept, '1.2.3', '2026-11-26T04:00:00.000Z')
    expect(text).toBe(stripVTControlCharacters(text))
    const lines = text.split('\n')
    expect(lines[0]).toBe('kvm-ppc-onereg 1.2.3, verified on 2026-11-26T04:00:00.000Z')
    expect(text).toContain('processor       POWER9 (architected), altivec supported')
    expect(text).toContain('kind of KVM     nested v1, in a partition under KVM')
    expect(text).toContain('software model  pseries POWER9, Linux 6.12')
    expect(lines).toContain(
      'kept  freeze, up  1,234 moves, mean error -1.0 µs, first save 1.5 ms, latest 2.000 s, worst error 0 µs',
    )
    expect(lines.at(-1)).toBe('The library keeps its promises on this host.')
  })

  it('names broken promises with all that was wrong, and what differs from the model', () => {
    const lines = certificateText(broken, '1.2.3', '').split('\n')
    const at = lines.findIndex((line) => line.startsWith('BROKEN  hot-plug'))
    expect(lines[at]).toMatch(/One thing\.$/)
    expect(lines[at + 1]).toMatch(/^ +Another\.$/)
    expect(lines).toContain('DEXCR     EINVAL  0')
    expect(lines).toContain('software model  none: not measured')
    expect(lines.at(-1)).toMatch(/^BROKEN on this host: hot-plug\. Please report it/)
  })

  it('has colours where they are wanted', () => {
    vi.stubEnv('FORCE_COLOR', '1')
    const text = certificateText(kept, '', '')
    expect(text).not.toBe(stripVTControlCharacters(text))
  })

  it.each([kept, broken])('is as JSON what docs/cli.schema.json describes', (certificate) => {
    const schema = JSON.parse(
      readFileSync(new URL('../../docs/cli.schema.json', import.meta.url), 'utf8'),
    ) as object
    const ajv = new Ajv2020({ allErrors: true, allowUnionTypes: true }).addSchema(schema, 'cli')
    const document: unknown = JSON.parse(json({ release: '', time: '', ...certificate }))
    const validate = ajv.getSchema('cli#/$defs/verify')
    expect(validate?.(document), JSON.stringify(validate?.errors)).toBe(true)
    expect(validate?.({ ...(document as object), more: 1 })).toBe(false)
  })
})

describe('how far it is', () => {
  function shownOn(isTTY: boolean): string[] {
    const written: string[] = []
    const status = new Status({ isTTY, write: (text) => written.push(text as string) > 0 })
    status.show('one')
    status.show('at once')
    status.clear()
    status.show('two')
    status.clear()
    status.clear()
    return written
  }

  it('is one line on a terminal, which is cleared at the end', () => {
    expect(shownOn(true)).toEqual(['\r\u001b[Kone', '\r\u001b[K', '\r\u001b[Ktwo', '\r\u001b[K'])
  })

  it('is not shown where there is no terminal', () => {
    expect(shownOn(false)).toEqual([])
  })
})
