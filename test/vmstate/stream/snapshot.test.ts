import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join as joinPath } from 'node:path'
import { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readQemuStream } from '../../../lib/vmstate/index.ts'
import { SNAPSHOT_LIMIT } from '../../../lib/vmstate/stream/limits.ts'
import { GUEST_TIMEBASE, join, ordinary } from './build.ts'
import { imageWith } from './build-qcow2.ts'
import type { ImageToBuild } from './build-qcow2.ts'
import { chunked, readStreamFile } from './expected.ts'

const folder = fileURLToPath(new URL('./data/cases', import.meta.url))

let scratch = ''
beforeAll(async () => {
  scratch = await mkdtemp(joinPath(tmpdir(), 'snapshot-'))
})
afterAll(() => rm(scratch, { recursive: true }))

/** Reads an image from a file and from memory, and expects the same of both. */
async function readImage(image: Buffer, options: { search?: boolean; snapshot?: string } = {}) {
  const path = joinPath(scratch, 'image')
  await writeFile(path, image)
  const stream = await readQemuStream(path, options)
  const { timebase, trailingBytes, snapshot } = await readQemuStream(image, options)
  expect(stream).toMatchObject({ timebase, snapshot })
  expect(stream.trailingBytes).toBe(trailingBytes)
  return stream
}

/** What both ways of reading refuse an image with. */
async function refusal(image: Buffer, options: { snapshot?: string } = {}): Promise<string> {
  const path = joinPath(scratch, 'image')
  await writeFile(path, image)
  const said: string[] = []
  for (const source of [path, image]) {
    const error: unknown = await readQemuStream(source, options).catch((caught: unknown) => caught)
    const { code, message } = error as { code: string; message: string }
    said.push(`${code}: ${message}`)
  }
  expect(said[1]).toBe(said[0])
  return said[0] ?? ''
}

const only = { id: '1', name: 'before', vmState: ordinary }
/** More clusters than one L2 table of the smallest image has, and zeros among them. */
const long = join(ordinary, Buffer.alloc(2000), Buffer.alloc(60_000, 7))

describe('a qcow2 image that QEMU 7.2 has written', () => {
  /** By `info registers` of the stopped guest. */
  it.each([
    ['first', '1', 49_447_452n],
    ['second snapshot', '2', 109_010_997n],
  ])(
    'has the guest of each snapshot: %s',
    async (name, id, virtualClockTimebase) => {
      const image = await readStreamFile(folder, 'snapshots.qcow2.gz')
      for (const snapshot of [name, id]) {
        const stream = await readImage(image, { snapshot })
        expect(stream).toMatchObject({
          machine: 'pseries-7.2',
          snapshot: { id, name },
          // The second savevm stores the numbers of the first one again: QEMU under TCG takes them once.
          timebase: { virtualClockTimebase, guestTimebase: 985_273_327_241_259n },
        })
        expect(stream.trailingBytes).toBeUndefined()
      }
    },
    60_000,
  )
})

describe("a snapshot's VM state", () => {
  it.each<[string, ImageToBuild]>([
    ['version 3', {}],
    ['version 2', { version: 2, hasExtraData: false }],
    ['large clusters', { clusterBits: 16 }],
    ['the largest clusters', { clusterBits: 21 }],
    ['a disk that ends within a table', { diskBytes: (3n << 20n) + 512n }],
    ['no disk', { diskBytes: 0n }],
    ['features that do not matter', { incompatible: 0b1011n }],
  ])('is read wherever its clusters are: %s', async (_, options) => {
    for (const vmState of [ordinary, long]) {
      const { snapshot, trailingBytes, ...stream } = await readImage(
        imageWith([{ ...only, vmState }], options),
      )
      expect(snapshot).toEqual({ id: '1', name: 'before' })
      expect(trailingBytes ?? 0).toBe(vmState.length - ordinary.length)
      expect(stream).toEqual(await readQemuStream(ordinary))
    }
  })

  it('is found among snapshots of the disk alone', async () => {
    const image = imageWith([
      { id: '1', name: 'disk', vmState: Buffer.alloc(0) },
      { ...only, id: '2' },
    ])
    expect((await readImage(image)).timebase.guestTimebase).toBe(GUEST_TIMEBASE)
  })

  it('is chosen by name, and by id if no name is like that', async () => {
    const snapshots = ['2', 'x', 'y'].map((name, index) => ({ ...only, id: `${index + 1}`, name }))
    const image = imageWith(snapshots)
    const chosen = async (snapshot: string) => (await readImage(image, { snapshot })).snapshot?.id
    expect(await chosen('2')).toBe('1')
    expect(await chosen('3')).toBe('3')
    expect(await refusal(image)).toContain(
      'several snapshots with the state of a VM: 2 (id 1), x (id 2), y (id 3); choose one with the option snapshot',
    )
    expect(await refusal(image, { snapshot: 'z' })).toContain(
      'ERR_VMSTATE_MISSING: The qcow2 image has no snapshot z',
    )
  })

  it('is refused as the stream that it is', async () => {
    const half = ordinary.subarray(0, ordinary.length / 2)
    expect(await refusal(imageWith([{ ...only, vmState: half }]))).toMatch(/^ERR_VMSTATE_TRUNCATED/)
    const damaged = Buffer.from(ordinary)
    damaged[0] = 0
    expect(await refusal(imageWith([{ ...only, vmState: damaged }]))).toContain('begin with "QEVM"')
  })
})

describe('a qcow2 image is refused', () => {
  const image = imageWith([only])
  const changed = (change: (bytes: Buffer) => void) => {
    const bytes = Buffer.from(image)
    change(bytes)
    return bytes
  }
  /** Of the one snapshot; its L1 table is just before it. */
  const table = Number(image.readBigUInt64BE(64))
  const l1 = Number(image.readBigUInt64BE(table))
  const vmEntry = image.readUInt32BE(table + 8) - 1
  const l2 = Number(image.readBigUInt64BE(l1 + 8 * vmEntry))

  it.each([
    [
      'without a snapshot',
      imageWith([]),
      'MISSING: This is a qcow2 image, and there is no snapshot',
    ],
    [
      'without the state of a VM',
      imageWith([{ ...only, vmState: Buffer.alloc(0) }]),
      'MISSING: This is a qcow2 image, and its snapshots are of the disk alone',
    ],
    [
      'of another version',
      imageWith([only], { version: 4 }),
      'VERSION: The qcow2 image has version 4',
    ],
    [
      'that is encrypted',
      imageWith([only], { cryptMethod: 2 }),
      'UNSUPPORTED: This qcow2 image is encrypted',
    ],
    [
      'with its data elsewhere',
      imageWith([only], { incompatible: 4n }),
      'UNSUPPORTED: This qcow2 image has its data in another file',
    ],
    [
      'with extended L2 entries',
      imageWith([only], { incompatible: 16n }),
      'UNSUPPORTED: This qcow2 image has extended L2 entries',
    ],
    [
      'with features that are not known',
      imageWith([only], { incompatible: 0x8020n }),
      'the unknown features 0x8020',
    ],
    [
      'with clusters of a wrong size',
      changed((bytes) => bytes.writeUInt32BE(8, 20)),
      'FORMAT: The qcow2 image has clusters of 2^8',
    ],
    [
      'with too many snapshots',
      changed((bytes) => bytes.writeUInt32BE(SNAPSHOT_LIMIT + 1, 60)),
      'LIMIT: The qcow2 image has 4097 snapshots',
    ],
    [
      'with more snapshots than it holds',
      changed((bytes) => bytes.writeUInt32BE(99, 60)),
      'TRUNCATED: The image ends inside the table of snapshots',
    ],
    [
      'with its table elsewhere',
      changed((bytes) => bytes.writeBigUInt64BE(1n << 63n, 64)),
      'TRUNCATED: The image ends inside the table',
    ],
    [
      'with much extra data',
      changed((bytes) => bytes.writeUInt32BE(0xffff_ffff, table + 36)),
      'FORMAT: A snapshot has 4294967295 bytes of extra data',
    ],
    [
      'with more state than bytes',
      changed((bytes) => bytes.writeBigUInt64BE(1n << 60n, table + 40)),
      'TRUNCATED: The image has',
    ],
    [
      'with too small a table',
      changed((bytes) => bytes.writeUInt32BE(1, table + 8)),
      'FORMAT: The VM state of the snapshot before is longer than the table',
    ],
    [
      'with a cluster beyond its end',
      changed((bytes) => bytes.writeBigUInt64BE(1n << 40n, l2)),
      'TRUNCATED: The image ends inside the VM state',
    ],
    [
      'with a compressed cluster',
      changed((bytes) => bytes.writeBigUInt64BE(1n << 62n, l2)),
      'UNSUPPORTED: A cluster of the VM state is compressed',
    ],
    [
      'that ends in its header',
      image.subarray(0, 50),
      'TRUNCATED: The image ends inside the header',
    ],
  ])('%s', async (_, bytes, expected) => {
    expect(await refusal(bytes)).toContain(expected)
  })

  it('with a cluster that does not begin where clusters do', async () => {
    const large = imageWith([only], { clusterBits: 16 })
    const entry = large.readBigUInt64BE(Number(large.readBigUInt64BE(64)))
    large.writeBigUInt64BE(
      0x200n,
      Number(entry) + 8 * (large.readUInt32BE(Number(large.readBigUInt64BE(64)) + 8) - 1),
    )
    expect(await refusal(large)).toContain(
      'ERR_VMSTATE_FORMAT: A cluster of the image is not where',
    )
  })

  it('in a pipe, which cannot be read in any order, and names the way', async () => {
    await expect(readQemuStream(Readable.from(chunked(image, 100)))).rejects.toThrow(
      'can be read from the path of the file',
    )
    const source = Readable.from(chunked(image, 100))
    await expect(readQemuStream(source, { snapshot: 'before' })).rejects.toThrow(
      'no snapshot before',
    )
  })

  it('if a snapshot is wanted of what is not one', async () => {
    expect(await refusal(ordinary, { snapshot: 'before' })).toContain(
      'ERR_VMSTATE_MISSING: There is no snapshot before',
    )
    await expect(readQemuStream(image, { snapshot: 1 } as object)).rejects.toThrow(TypeError)
  })
})
