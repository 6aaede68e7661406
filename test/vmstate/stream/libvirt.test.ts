import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join as joinPath } from 'node:path'
import { fileURLToPath } from 'node:url'
import * as zlib from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readQemuStream } from '../../../lib/vmstate/index.ts'
import { endMark, front, GUEST_TIMEBASE, join, ordinary, timer } from './build.ts'
import { FRAMES_AT_LEAST } from '../../../lib/vmstate/stream/limits.ts'
import { readStreamFile, reused } from './expected.ts'
import { waysToRead } from './ways.ts'

/** The front of an image that libvirt 12.8 wrote: header, XML, cookie, padding. */
const folder = fileURLToPath(new URL('./data/cases', import.meta.url))
const opening = await readStreamFile(folder, 'libvirt-header.gz')
const STREAM_OFFSET = opening.length

/** The format is the fourth number behind the 16 bytes of magic. */
function imageOf(format: number, payload: Buffer): Buffer {
  const header = Buffer.from(opening)
  header.writeUInt32LE(format, 16 + 12)
  return join(header, payload)
}

const { zstdCompressSync } = zlib as unknown as {
  readonly zstdCompressSync?: (bytes: Buffer) => Buffer
}

/** A frame of zstd that holds nothing of the data. */
const skippable = Buffer.from([0x50, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 1, 2])

function inPieces(pack: (bytes: Buffer) => Buffer): Buffer {
  const [first, second] = [100, ordinary.length / 2]
  const pieces = [ordinary.subarray(0, first), Buffer.alloc(0), ordinary.subarray(first, second)]
  return join(...[...pieces, ordinary.subarray(second)].map((piece) => pack(piece)))
}

let scratch = ''
beforeAll(async () => {
  scratch = await mkdtemp(joinPath(tmpdir(), 'libvirt-'))
})
afterAll(() => rm(scratch, { recursive: true }))

describe("libvirt's save image", () => {
  it.each([
    ['raw', 0, ordinary],
    ['gzip', 1, zlib.gzipSync(ordinary)],
    ['sparse', 6, ordinary],
    ...(zstdCompressSync === undefined ? [] : [['zstd', 5, zstdCompressSync(ordinary)] as const]),
  ] as const)('is read in each way: %s', async (format, number, payload) => {
    const expected = await readQemuStream(ordinary)
    const ways = await waysToRead(imageOf(number, payload), joinPath(scratch, 'image'))
    for (const [way, source] of Object.entries(ways)) {
      expect(await readQemuStream(source()), way).toEqual({
        ...expected,
        libvirt: {
          domain: 'guest1',
          machine: 'pseries-11.1',
          format,
          streamOffset: STREAM_OFFSET,
        },
      })
    }
  })

  /** As pzstd and several runs of `gzip >>` write it; zeros are the rest of a cluster. */
  it.each([
    ['members of gzip', 1, inPieces(zlib.gzipSync)],
    ['gzip and zeros', 1, join(zlib.gzipSync(ordinary), Buffer.alloc(999))],
    ...(zstdCompressSync === undefined
      ? []
      : ([
          ['frames of zstd', 5, inPieces(zstdCompressSync)],
          ['zstd and zeros', 5, join(zstdCompressSync(ordinary), Buffer.alloc(999))],
          ['zstd and noise', 5, join(zstdCompressSync(ordinary), Buffer.alloc(999, 'x'))],
          ['a frame to be skipped', 5, join(skippable, zstdCompressSync(ordinary), skippable)],
        ] as const)),
  ] as const)(
    'may have its stream in several pieces: %s',
    async (_, number, payload) => {
      const expected = await readQemuStream(ordinary)
      const image = imageOf(number, payload)
      const ways = await waysToRead(image, joinPath(scratch, 'image'))
      for (const [way, source] of Object.entries({
        ...ways,
        'byte by byte': () => reused(image, 1),
      })) {
        expect(await readQemuStream(source()), way).toMatchObject(expected)
      }
    },
    60_000,
  )

  it.skipIf(zstdCompressSync === undefined)(
    'is refused if its frames hold nothing, before that takes long',
    async () => {
      const empty = zstdCompressSync?.(Buffer.alloc(0)) ?? Buffer.alloc(0)
      const payload = join(...Array<Buffer>(FRAMES_AT_LEAST + 1).fill(empty))
      // Node 22 stops after each frame. Node 26 reads on by itself, and finds nothing in any of them.
      await expect(readQemuStream(imageOf(5, payload))).rejects.toThrow(
        /^(More than 4096 frames of zstd|Nothing follows the header of libvirt's image)/,
      )
    },
    60_000,
  )

  it('may be of a host of the other byte order', async () => {
    const image = imageOf(0, ordinary)
    image.subarray(16, 92).swap32()
    expect((await readQemuStream(image)).libvirt?.domain).toBe('guest1')
  })

  it.each([
    ['bzip2', 2],
    ['xz', 3],
    ['lzop', 4],
    ...(zstdCompressSync === undefined ? [['zstd', 5] as const] : []),
  ] as const)('comes with the command that unpacks it: %s', async (format, number) => {
    const ways = await waysToRead(imageOf(number, ordinary), joinPath(scratch, "it's one"))
    const command = `tail -c +${STREAM_OFFSET + 1} FILE | ${format} -dc > guest.stream`
    const path = `'${joinPath(scratch, String.raw`it'\''s one`)}'`
    await expect(readQemuStream(ways['memory']?.() ?? '')).rejects.toMatchObject({
      code: 'ERR_VMSTATE_UNSUPPORTED',
      message: expect.stringContaining(command) as string,
    })
    await expect(readQemuStream(ways['file']?.() ?? '')).rejects.toThrow(
      command.replace('FILE', path),
    )
  })

  it.each([
    ['an unknown format', imageOf(7, ordinary), 'UNSUPPORTED', 'the format 7'],
    ['more XML than is held', resized(0x7fff_ffff), 'LIMIT', 'XML'],
    ['less XML than it says', resized(10_000_000), 'TRUNCATED', 'XML'],
    ['nothing behind its header', imageOf(0, Buffer.alloc(0)), 'TRUNCATED', 'Nothing follows'],
    ['something else behind it', imageOf(0, Buffer.alloc(99)), 'FORMAT', 'raw image'],
    ['half of what gzip made', halfOf(zlib.gzipSync(ordinary)), 'TRUNCATED', 'end too early'],
    ['what gzip did not make', imageOf(1, ordinary), 'FORMAT', 'cannot be unpacked'],
    ['no more than a magic number', Buffer.from('LibvirtQemudSave'), 'TRUNCATED', 'header'],
    ['an unfinished header', Buffer.from('LibvirtQemudPart'), 'FORMAT', 'not finished'],
  ])('is refused with %s', async (_, image, code, text) => {
    await expect(readQemuStream(image)).rejects.toMatchObject({
      code: `ERR_VMSTATE_${code}`,
      message: expect.stringContaining(text) as string,
    })
  })

  it('that unpacks to far more is refused by the limit, in bounded memory', async () => {
    const bomb = zlib.gzipSync(join(front, timer, Buffer.alloc(80 << 20), endMark))
    await expect(readQemuStream(imageOf(1, bomb))).rejects.toMatchObject({
      code: 'ERR_VMSTATE_LIMIT',
    })
  }, 60_000)

  it('has the value of the stream in it', async () => {
    expect((await readQemuStream(imageOf(0, ordinary))).timebase.guestTimebase).toBe(GUEST_TIMEBASE)
  })
})

function resized(length: number): Buffer {
  const image = imageOf(0, ordinary)
  image.writeUInt32LE(length, 16 + 4)
  return image
}

function halfOf(payload: Buffer): Buffer {
  return imageOf(1, payload.subarray(0, payload.length / 2))
}
