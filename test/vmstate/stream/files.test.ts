import { createReadStream } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { createGunzip } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readQemuStream } from '../../../lib/vmstate/index.ts'
import type { QemuStreamSource } from '../../../lib/vmstate/index.ts'
import { emulated } from '../../support/emulated.ts'
import { chunked, judge, known, readExpected, readStreamFile, reused, seen } from './expected.ts'

/** Streams that QEMU wrote, and the same with one thing damaged in each: see expected.json there. */
const folder = fileURLToPath(new URL('./data', import.meta.url))
const { good, bad } = await readExpected(folder)

/** This one has 272 MB, nearly all of them holes. */
const HUGE = 't-q10-mapped-ram'
const SMALL = 60_000

/** An emulated processor has time for one damaged stream in so many. */
const DAMAGED_APART = emulated ? 4 : 1
const damaged = Object.entries(bad).filter((_, index) => index % DAMAGED_APART === 0)

let scratch = ''
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'streams-'))
})
afterAll(() => rm(scratch, { recursive: true }))

describe('a stream of QEMU', () => {
  for (const [name, stream] of Object.entries(good).filter(([name]) => name !== HUGE)) {
    const search = !stream.has_description

    it(`gives what is known of ${name}, from memory, a file and odd chunks`, async () => {
      const bytes = await readStreamFile(folder, stream.file)
      const path = join(scratch, name)
      await writeFile(path, bytes)
      const sources: QemuStreamSource[] = [bytes, path, reused(bytes, 4099)]
      if (!emulated) sources.push(Readable.from(chunked(bytes, 65_521)))
      if (!emulated && bytes.length <= SMALL) sources.push(reused(bytes, 1))
      for (const source of sources) {
        const found = await readQemuStream(source, { search })
        expect(seen(found, stream)).toEqual(known(stream))
      }
    })
  }

  it('is read from a pipe when its RAM is an image of 256 MB', async () => {
    const stream = good[HUGE]
    if (stream === undefined) throw new Error(`${HUGE} is missing`)
    const pipe = createReadStream(join(folder, stream.file)).pipe(
      createGunzip({ chunkSize: 1 << 20 }),
    )
    expect(seen(await readQemuStream(pipe), stream)).toEqual(known(stream))
  })

  it.each(Object.entries(good).filter(([, stream]) => !stream.has_description))(
    'without a description, %s, gives nothing unless it is searched',
    async (_, stream) => {
      const bytes = await readStreamFile(folder, stream.file)
      await expect(readQemuStream(bytes)).rejects.toMatchObject({
        code: 'ERR_VMSTATE_MISSING',
        offset: bytes.length,
      })
    },
  )
})

describe('a damaged stream', () => {
  it.each(damaged)('is treated as it must be: %s', async (_, stream) => {
    const bytes = await readStreamFile(folder, stream.file)
    for (const search of [false, true]) {
      const fromMemory = await judge(stream, () => readQemuStream(bytes, { search }))
      expect(fromMemory).toMatchObject({ ok: true })
      const fromChunks = await judge(stream, () => readQemuStream(reused(bytes, 1009), { search }))
      expect(fromChunks).toEqual(fromMemory)
    }
  })

  it.each(damaged.filter(([, { must }]) => must === 'reject'))(
    'is refused with the byte at which it was seen: %s',
    async (_, stream) => {
      const bytes = await readStreamFile(folder, stream.file)
      const error: unknown = await readQemuStream(bytes).catch((caught: unknown) => caught)
      const { offset } = error as { offset: number }
      expect(offset).toBeGreaterThanOrEqual(0)
      expect(offset).toBeLessThanOrEqual(bytes.length)
    },
  )
})
