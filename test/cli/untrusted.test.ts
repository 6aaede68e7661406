import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { cases } from '../support/emulated.ts'
import { Dice, mutated } from '../vmstate/mutations.ts'
import * as stream from '../vmstate/stream/build.ts'
import { decode, expectOrderly, streamWith } from './decoding.ts'

// Files that are made to do harm. `decode` must handle them in order: either text on standard output and status 0, or one line on standard error and status 1.

const state =
  '{"format":"kvm-ppc-onereg/timebase","version":1,"guestTimebase":"1","timeOfDayNs":"-1",' +
  '"timebaseFrequency":"512000000","uncertaintyNs":"40","offset":"16777216","vcpus":[{"id":0}]}'

const ESCAPE = '\u001b[2J\u009b31m\u007f\r\b'

function expectHarmless(text: string): void {
  // eslint-disable-next-line no-control-regex -- control characters are what it looks for
  expect(text).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/)
}

describe('decode of a file that would control the terminal', () => {
  it.each([{ options: [] }, { options: ['--json'] }])(
    'shows the names of fields with escapes: $options',
    async ({ options }) => {
      const device = streamWith([stream.integer(`x${ESCAPE}`, 'uint8', 1)], Buffer.of(7))
      const { status, stdout } = await decode(device, '--all', ...options)
      expect(status).toBe(0)
      expectHarmless(stdout)
      expect(stdout).toContain('x\\u001b[2J\\u009b31m')
      if (options.length > 0) {
        const { devices } = JSON.parse(stdout) as { devices: { fields: Record<string, number> }[] }
        expect(devices[1]?.fields).toEqual({ [`x${ESCAPE}`]: 7 })
      }
    },
  )

  it.each([
    ['the name of a device', { vmsd_name: `x${ESCAPE}` }],
    ['the name of a subsection', { subsections: [{ vmsd_name: ESCAPE, version: 1, fields: [] }] }],
    ['a long name', { subsections: [{ vmsd_name: 'x'.repeat(1e6), version: 1, fields: [] }] }],
    ['a wrong type', { version: `1${ESCAPE}` }],
  ])('refuses %s', async (_what, rest) => {
    const outcome = await decode(streamWith([], Buffer.alloc(0), rest))
    expect(outcome.status).toBe(1)
    expectOrderly(outcome)
    expectHarmless(outcome.stderr.trimEnd())
  })

  it('names an unknown field of a saved timebase with escapes, and not all of it', async () => {
    const key = JSON.stringify(ESCAPE + 'x'.repeat(100_000))
    const outcome = await decode(state.replace('"version"', `${key}:0,"version"`))
    expectOrderly(outcome)
    expectHarmless(outcome.stderr.trimEnd())
    expect(outcome.stderr).toContain('is not known')
  })
})

describe('decode of names that JavaScript knows', () => {
  const names = ['__proto__', 'constructor', 'toString', 'toJSON', 'valueOf', 'length', 'then']
  const asStructs = ['fields', 'subsections', 'name', 'version']

  it.each([{ options: [] }, { options: ['--json'] }])(
    'shows them like others: $options',
    async ({ options }) => {
      const fields = [...names, ...asStructs].map((name) => stream.integer(name, 'uint8', 1))
      const bytes = Buffer.from(fields.map((_, index) => index + 1))
      const { status, stdout } = await decode(streamWith(fields, bytes), '--all', ...options)
      expect(status).toBe(0)
      for (const [index, name] of [...names, ...asStructs].entries()) {
        expect(stdout).toMatch(new RegExp(`\\b${name}"?:? +${index + 1},?$`, 'm'))
      }
      expect(({} as Record<string, unknown>)['polluted']).toBeUndefined()
    },
  )
})

describe('decode of anything', () => {
  const formats = ['cpu-timebase', 'cpu', 'qemu-timebase', 'spapr']
  const options = fc.subarray(['--all', '--json', '--search'])
  const format = fc.option(fc.constantFrom(...formats), { nil: undefined })
  const argumentsOf = (chosen: string[], name: string | undefined): string[] =>
    name === undefined ? chosen : [...chosen, '--format', name]

  it('that is bytes is orderly', { timeout: 120_000 }, async () => {
    const starts = fc.constantFrom<number[]>([], [0x51, 0x45, 0x56, 0x4d, 0, 0, 0, 3], [0x1f, 0x8b])
    const bytes = fc
      .tuple(starts, fc.uint8Array({ maxLength: 4096 }))
      .map(([start, rest]) => Buffer.from([...start, ...rest]))
    await fc.assert(
      fc.asyncProperty(bytes, options, format, async (input, chosen, name) => {
        expectOrderly(await decode(input, ...argumentsOf(chosen, name)))
      }),
      { numRuns: cases(1_000, 1 / 50) },
    )
  })

  it('that is text is orderly', { timeout: 120_000 }, async () => {
    const texts = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.json({ maxDepth: 6 }),
      fc.string({ unit: 'binary' }).map((text) => state.replace('"40"', JSON.stringify(text))),
      fc
        .tuple(fc.string({ unit: 'binary' }), fc.jsonValue())
        .map(([key, value]) =>
          state.replace('"version"', `${JSON.stringify(key)}:${JSON.stringify(value)},"version"`),
        ),
    )
    await fc.assert(
      fc.asyncProperty(texts, options, async (input, chosen) => {
        const outcome = await decode(input, ...chosen)
        expectOrderly(outcome)
        expectHarmless((outcome.stdout + outcome.stderr).replaceAll('\n', ''))
      }),
      { numRuns: cases(2_000, 1 / 100) },
    )
  })

  it('that was a stream once is orderly', { timeout: 120_000 }, async () => {
    const dice = new Dice(7)
    let shown = 0
    const runs = cases(2_000, 1 / 100)
    for (let left = runs; left > 0; left--) {
      const bytes = mutated(stream.ordinary, dice, [stream.ordinary])
      const outcome = await decode(bytes, ...dice.pick([[], ['--all'], ['--json', '--all']]))
      expectOrderly(outcome)
      if (outcome.status === 0) shown++
    }
    expect(shown).toBeGreaterThan(0)
    expect(shown).toBeLessThan(runs)
  })
})
