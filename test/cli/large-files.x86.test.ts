import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { run } from '../../lib/cli/program.ts'
import { STATE_TEXT_LIMIT } from '../../lib/timebase/state.ts'
import * as stream from '../vmstate/stream/build.ts'
import { decode, expectOrderly, streamWith } from './decoding.ts'

// These take seconds, and on an emulated processor minutes; the limits that they reach are JavaScript's.

let scratch = ''
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'large-'))
})
afterAll(() => rm(scratch, { recursive: true }))

describe('decode of a file of', () => {
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

  it('a bomb is not unpacked further than to the limit', { timeout: 60_000 }, async () => {
    const file = join(scratch, 'bomb.gz')
    // The header of a second part, with flags that gzip does not have: reading on to it would fail.
    const wrong = Buffer.from([0x1f, 0x8b, 8, 0xff, 0, 0, 0, 0, 0, 0])
    const complaint = async (spaces: number): Promise<string> => {
      await writeFile(file, Buffer.concat([gzipSync(`{${' '.repeat(spaces)}`), wrong]))
      const error = vi.spyOn(console, 'error').mockImplementation(() => undefined)
      expect(await run(['decode', file])).toBe(1)
      const said = String(error.mock.calls[0]?.[0])
      vi.restoreAllMocks()
      return said
    }
    expect(await complaint(64 << 20)).toContain(`more than ${STATE_TEXT_LIMIT} bytes`)
    expect(await complaint(10)).not.toContain('more than')
  })
})
