import { execFileSync } from 'node:child_process'
import { mkdtemp, open, rm, truncate, writeFile } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join as joinPath } from 'node:path'
import { Readable } from 'node:stream'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { readQemuStream, readQemuTimebase } from '../../../lib/vmstate/index.ts'
import type { QemuStreamSource } from '../../../lib/vmstate/index.ts'
import type { Parser } from '../../../lib/vmstate/stream/bytes.ts'
import { HELD_LIMIT, READ_SIZE } from '../../../lib/vmstate/stream/limits.ts'
import { openSource, parseSource } from '../../../lib/vmstate/stream/source.ts'
import {
  BLOCK,
  capabilities,
  configuration,
  describedSpapr,
  describedTimer,
  description,
  end,
  endMark,
  EOS,
  footer,
  front,
  GUEST_TIMEBASE,
  header,
  join,
  ordinary,
  RAM_ID,
  record,
  spapr,
  start,
  text,
  timer,
  u32,
  u64,
} from './build.ts'
import { chunked } from './expected.ts'

let folder = ''
beforeAll(async () => {
  folder = await mkdtemp(joinPath(tmpdir(), 'stream-source-'))
})
afterAll(() => rm(folder, { recursive: true }))

const devices = join(timer, spapr, endMark, description([describedTimer, describedSpapr]))

describe('a source', () => {
  it('may be a file, a Uint8Array, a Readable or any iterable of chunks', async () => {
    const path = joinPath(folder, 'ordinary')
    await writeFile(path, ordinary)
    const sources: QemuStreamSource[] = [
      path,
      ordinary,
      new Uint8Array(ordinary),
      Readable.from(chunked(ordinary, 7)),
      // eslint-disable-next-line @typescript-eslint/require-await
      (async function* () {
        yield* [Buffer.alloc(0), ordinary.subarray(0, 100), Buffer.alloc(0), ordinary.subarray(100)]
      })(),
    ]
    for (const source of sources) {
      expect((await readQemuTimebase(source)).guestTimebase).toBe(GUEST_TIMEBASE)
    }
  })

  it('may be the path of a pipe', async () => {
    const path = joinPath(folder, 'pipe')
    execFileSync('sh', ['-c', 'mkfifo "$1" || busybox mkfifo "$1"', 'sh', path])
    const [timebase] = await Promise.all([readQemuTimebase(path), writeFile(path, ordinary)])
    expect(timebase.guestTimebase).toBe(GUEST_TIMEBASE)
  })

  it('gives the same in chunks of every size', async () => {
    const expected = await readQemuStream(ordinary)
    for (let size = 1; size < 600; size += 7) {
      expect(await readQemuStream(Readable.from(chunked(ordinary, size)))).toEqual(expected)
    }
  })

  it.each([
    ['undefined', undefined],
    ['null', null],
    ['a number', 5],
    ['an object', {}],
    ['an array', [ordinary]],
    ['an ArrayBuffer', ordinary.buffer],
  ])('must be one of these, not %s', async (_, source) => {
    await expect(readQemuStream(source as unknown as string)).rejects.toMatchObject({
      name: 'TypeError',
      code: 'ERR_INVALID_ARG_TYPE',
    })
  })

  it('is no longer of interest when what was read of it is wrong', async () => {
    const path = joinPath(folder, 'failing')
    await writeFile(path, Buffer.alloc(READ_SIZE + 1))
    const file = await open(path)
    await file.close()
    const read = vi.spyOn(Object.getPrototypeOf(file) as FileHandle, 'read')
    const first = { bytesRead: READ_SIZE, buffer: Buffer.alloc(READ_SIZE) }
    // The first call asks for the magic number alone, which tells an image with snapshots from a stream.
    const magic = { bytesRead: 4, buffer: Buffer.alloc(4) }
    read.mockResolvedValueOnce(magic).mockResolvedValueOnce(first)
    read.mockRejectedValueOnce(new Error('the disk broke'))
    try {
      await expect(readQemuStream(path)).rejects.toThrow('does not begin with "QEVM"')
      expect(read).toHaveBeenCalledTimes(3)
    } finally {
      read.mockRestore()
    }
  })

  it('must give bytes, not text', async () => {
    await expect(readQemuStream(Readable.from(['QEVM']))).rejects.toThrow('must be a Uint8Array')
  })

  it.each([
    [{ serach: true }, 'ERR_INVALID_ARG_VALUE'],
    [{ search: 1 }, 'ERR_INVALID_ARG_TYPE'],
    [null, 'ERR_INVALID_ARG_TYPE'],
  ])('comes with options that are known, not %o', async (options, code) => {
    await expect(readQemuStream(ordinary, options as object)).rejects.toMatchObject({ code })
  })

  it('that fails is its own error', async () => {
    await expect(readQemuStream(joinPath(folder, 'none'))).rejects.toMatchObject({ code: 'ENOENT' })
    // A file like others by its mode, whose first bytes are in no page of this process.
    await expect(readQemuStream('/proc/self/mem')).rejects.toMatchObject({ code: 'EIO' })
    const broken = new Readable({
      read() {
        this.destroy(new Error('the wire broke'))
      },
    })
    await expect(readQemuStream(broken)).rejects.toThrow('the wire broke')
  })

  it('is left as soon as nothing more is asked of it', async () => {
    let taken = 0
    // eslint-disable-next-line @typescript-eslint/require-await
    async function* chunks() {
      while (taken < 3) yield Buffer.alloc(1000, ++taken)
    }
    function* first(): Parser<number | undefined> {
      const { bytes } = yield 0
      return bytes?.length
    }
    const { bytes } = await openSource(chunks())
    expect(await parseSource(first(), bytes)).toBe(1000)
    expect(taken).toBe(1)
  })

  it('is destroyed when it turns out to be no stream', async () => {
    const endless = new Readable({
      read() {
        this.push(Buffer.alloc(1000))
      },
    })
    await expect(readQemuStream(endless)).rejects.toThrow('does not begin with "QEVM"')
    expect(endless.destroyed).toBe(true)
  })
})

describe('a large file', () => {
  const withPages = (pages: number) =>
    join(
      header,
      configuration('pseries-7.2'),
      start(
        RAM_ID,
        'ram',
        4,
        record(4, 0x1000_0000, text(BLOCK), u64(0x1000_0000n)),
        record(8, 0, text(BLOCK), Buffer.alloc(4096)),
        ...Array.from({ length: pages }, (_, page) =>
          record(0x28, 4096 * page, Buffer.alloc(4096, page)),
        ),
        EOS,
      ),
      end(RAM_ID, EOS),
      devices,
    )

  it('is read over the borders of what is read at a time', async () => {
    const bytes = withPages((3 * READ_SIZE) >> 12)
    const path = joinPath(folder, 'large')
    await writeFile(path, bytes)
    expect(await readQemuStream(path)).toEqual(await readQemuStream(bytes))
  })

  it('is not read where an image of RAM is, and its end is found by the byte', async () => {
    const opening = join(header, configuration('pseries-10.0', capabilities('mapped-ram')))
    const length = 0x4000_0000
    const bitmap = opening.length + 17 + 8 + text(BLOCK).length + 8 + 28
    const list = record(4, length, text(BLOCK), u64(BigInt(length)), u32(1), u64(4096n))
    const pages = 1 << 20
    const section = start(RAM_ID, 'ram', 4, list, u64(BigInt(bitmap)), u64(BigInt(pages)))
    const path = joinPath(folder, 'mapped')
    // The section's footer comes behind the image.
    await writeFile(path, join(opening, section).subarray(0, bitmap))
    for (const size of [pages + length - 5, pages + length]) {
      await truncate(path, size)
      await expect(readQemuStream(path)).rejects.toMatchObject({
        code: 'ERR_VMSTATE_TRUNCATED',
        offset: size,
      })
    }
    await writeFile(path, join(EOS, footer(RAM_ID), end(RAM_ID, EOS), devices), { flag: 'a' })
    expect((await readQemuTimebase(path)).guestTimebase).toBe(GUEST_TIMEBASE)
  })
})

describe('what is no stream by itself', () => {
  it.each([
    ['gzip', gzipSync(ordinary)],
    ['xz', Buffer.from('fd377a585a0000', 'hex')],
    ['zstd', Buffer.from('28b52ffd00', 'hex')],
    ['bzip2', Buffer.from('BZh91AY')],
    ['lzop', Buffer.from('\x89LZO\0\r\n', 'latin1')],
    ['libvirt', join(Buffer.from('LibvirtQemudSave'), Buffer.alloc(76), ordinary)],
    ['qcow2', Buffer.from('QFI\xfb\0\0\0\x03', 'latin1')],
  ])('is called by its name: %s', async (name, bytes) => {
    await expect(readQemuStream(bytes)).rejects.toThrow(name)
    await expect(readQemuStream(Readable.from(chunked(bytes, 1)))).rejects.toThrow(name)
  })
})

describe('a stream that never ends', () => {
  const endless = (...first: Buffer[]) =>
    new Readable({
      read() {
        this.push(first.shift() ?? Buffer.alloc(1 << 20))
      },
    })

  it('is given up after 64 MiB of devices', async () => {
    await expect(readQemuStream(endless(front, timer))).rejects.toMatchObject({
      code: 'ERR_VMSTATE_LIMIT',
      message: expect.stringContaining(`${HELD_LIMIT} bytes`) as string,
    })
    expect(process.resourceUsage().maxRSS / 1024).toBeLessThan(500)
  }, 60_000)
})
