import fc from 'fast-check'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { run } from '../../lib/cli/program.ts'
import { STATE_TEXT_LIMIT } from '../../lib/state.ts'
import { cases, emulated } from '../support/emulated.ts'
import { cpuMilliseconds, Dice, mutated } from '../vmstate/mutations.ts'
import * as stream from '../vmstate/streams/build.ts'

// Files that nobody would write who means well, and what `decode` makes of them: text on standard
// output and status 0, or one line on standard error and status 1.

let scratch = ''
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'untrusted-'))
})
afterAll(() => rm(scratch, { recursive: true }))

interface Outcome {
  readonly status: number
  readonly stdout: string
  readonly stderr: string
}

/** Runs the command line in this process, with these bytes on its standard input. */
async function decode(input: Uint8Array | string, ...options: string[]): Promise<Outcome> {
  const output = { stdout: '', stderr: '' }
  vi.spyOn(process, 'stdin', 'get').mockReturnValue(Readable.from([Buffer.from(input)]) as never)
  vi.spyOn(console, 'log').mockImplementation((text: string) => (output.stdout += `${text}\n`))
  vi.spyOn(console, 'error').mockImplementation((text: string) => (output.stderr += `${text}\n`))
  vi.spyOn(process.stderr, 'write').mockImplementation(
    (text) => (output.stderr += text as string) !== '',
  )
  try {
    return { status: await run(['decode', '-', ...options]), ...output }
  } finally {
    vi.restoreAllMocks()
  }
}

/** What is no error of ours: JavaScript's own, of which the message is all that is seen. */
const internal =
  /call stack|string length|array length|heap|undefined|not a function|not iterable|Cannot/i

function expectOrderly({ status, stdout, stderr }: Outcome): void {
  if (status === 0) {
    expect(stderr).toBe('')
    expect(stdout).not.toBe('')
    return
  }
  expect(status).toBe(1)
  expect(stdout).toBe('')
  expect(stderr).toMatch(/^kvm-ppc-onereg: [^\n]+\n$/)
  expect(stderr).not.toMatch(internal)
  expect(stderr.length).toBeLessThan(1_000)
}

/** An ordinary stream with one more device, whose description is as it is told. */
function streamWith(fields: readonly object[], bytes: Uint8Array, rest: object = {}): Buffer {
  const name = 'device'
  const described = { name, instance_id: 0, vmsd_name: name, version: 1, fields, ...rest }
  return stream.streamWith(stream.full(77, name, 1, Buffer.from(bytes)), described)
}

const state =
  '{"format":"kvm-ppc-onereg/timebase","version":1,"guestTimebase":"1","timeOfDayNs":"-1",' +
  '"timebaseFrequency":"512000000","uncertaintyNs":"40","offset":"16777216","vcpus":[{"id":0}]}'

const ESCAPE = '\u001b[2J\u009b31m\u007f\r\b'

function expectHarmless(text: string): void {
  // eslint-disable-next-line no-control-regex -- that is what it is about
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

// These take seconds, and on an emulated processor minutes; the limits that they reach are JavaScript's.
describe.runIf(!emulated)('decode of a file of', () => {
  it.each([{ options: ['--all'] }, { options: ['--all', '--json'] }])(
    '160,000 fields shows them: $options',
    { timeout: 60_000 },
    async ({ options }) => {
      const count = 160_000
      const fields = Array.from({ length: count }, (_, index) =>
        stream.integer(`f${index}`, 'uint8', 1),
      )
      const outcome = await decode(streamWith(fields, Buffer.alloc(count)), ...options)
      expectOrderly(outcome)
      expect(outcome.stdout).toContain('f159999')
    },
  )

  it.each(['int8', 'uint64', 'buffer'])(
    'an array of 60 MiB of %s shows some of it',
    { timeout: 120_000 },
    async (type) => {
      const size = type === 'uint64' ? 8 : 1
      const length = (60 << 20) / size
      const field = { name: 'large', type, size, array_len: length }
      const file = streamWith([field], Buffer.alloc(length * size, 0x80))
      const text = await decode(file, '--all')
      expectOrderly(text)
      expect(text.stdout).toMatch(/^ +large .* more$/m)
      const json = await decode(file, '--all', '--json')
      expectOrderly(json)
      if (type === 'buffer') expect(json.status).toBe(0)
      else expect(json.stderr).toMatch(/more than 4194304 numbers/)
    },
  )

  it('a saved timebase that is too long is refused before it is parsed', async () => {
    const outcome = await decode(`{${' '.repeat(STATE_TEXT_LIMIT)}}`)
    expectOrderly(outcome)
    expect(outcome.stderr).toContain(`more than ${STATE_TEXT_LIMIT}`)
  })

  it('1 GiB of nothing, packed, is refused at once', { timeout: 60_000 }, async () => {
    const path = join(scratch, 'bomb.gz')
    const piece = gzipSync(Buffer.alloc(64 << 20, ' '))
    await writeFile(
      path,
      Buffer.concat([gzipSync('{'), ...Array.from({ length: 16 }, () => piece)]),
    )
    const before = cpuMilliseconds()
    const error = vi.spyOn(console, 'error').mockImplementation(() => undefined)
    expect(await run(['decode', path])).toBe(1)
    expect(String(error.mock.calls[0]?.[0])).toContain(`more than ${STATE_TEXT_LIMIT} bytes`)
    vi.restoreAllMocks()
    expect(cpuMilliseconds() - before).toBeLessThan(5_000)
  })
})

describe('decode of anything', () => {
  const formats = ['seed-timebase', 'cpu', 'qemu-timebase', 'spapr']
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
      { numRuns: cases(1_000, 1 / 20) },
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
      { numRuns: cases(2_000, 1 / 20) },
    )
  })

  it('that was a stream once is orderly', { timeout: 120_000 }, async () => {
    const dice = new Dice(7)
    let shown = 0
    const runs = cases(2_000, 1 / 20)
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
