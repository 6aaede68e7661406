import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readQemuStream } from '../../../lib/vmstate/index.ts'
import type { QemuRamBlock } from '../../../lib/vmstate/index.ts'
import { readStreamFile } from './expected.ts'
import { waysToRead } from './ways.ts'

/** Streams of QEMU 11.1 that version 0.1.0 refused. */
const folder = fileURLToPath(new URL('./data/cases', import.meta.url))

const ram = { name: 'ppc_spapr.ram', length: 1n << 28n }

interface Case {
  readonly file: string
  readonly search?: boolean
  readonly guestTimebase: bigint
  readonly timeOfDayNs: bigint
  readonly offset: number
  readonly ramBlocks?: readonly QemuRamBlock[]
  readonly trailingBytes?: number
  /** It has 272 MB unpacked, which take too long in small chunks. */
  readonly isLarge?: boolean
}

const cases: readonly Case[] = [
  {
    file: 'postcopy-q11.bin.gz',
    search: true,
    guestTimebase: 6_005_642_627_422n,
    timeOfDayNs: 1_795_619_250_375_460_000n,
    offset: 2_292_282,
  },
  {
    file: 'hugepages-postcopy-ram.bin.gz',
    guestTimebase: 1_948_215_318_799n,
    timeOfDayNs: 1_795_617_591_170_245_000n,
    offset: 2_911_956,
    ramBlocks: [
      { name: 'm0', length: 1n << 28n, pageSize: 0x20_0000n },
      { name: 'pci@800000020000000:00.0/vga.vram', length: 1n << 24n },
    ],
  },
  {
    file: 'mapped-ram-cut-out-of-libvirt-sparse.bin.gz',
    guestTimebase: 1_779_265_402_720n,
    timeOfDayNs: 1_795_617_522_081_495_000n,
    offset: 271_756_750,
    isLarge: true,
  },
  {
    file: 'savevm-with-the-rest-of-the-cluster.bin.gz',
    guestTimebase: 5_646_986_151_391n,
    timeOfDayNs: 1_795_619_103_709_938_000n,
    offset: 2_874_950,
    trailingBytes: 217_492,
  },
  {
    file: 'dirty-bitmaps-none.bin.gz',
    guestTimebase: 1_795_529_185_216n,
    timeOfDayNs: 1_795_617_528_732_249_000n,
    offset: 2_874_952,
  },
]

let scratch = ''
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'cases-'))
})
afterAll(() => rm(scratch, { recursive: true }))

describe('a stream of QEMU 11', () => {
  it.each(cases)(
    'gives its timebase in each way of reading: $file',
    async (known) => {
      const { file, search = false, guestTimebase, timeOfDayNs, offset } = known
      const { ramBlocks = [ram], trailingBytes, isLarge = false } = known
      const ways = await waysToRead(await readStreamFile(folder, file), join(scratch, 'stream'))
      for (const [way, source] of Object.entries(ways)) {
        if (isLarge && way === 'odd chunks') continue
        const stream = await readQemuStream(source(), { search })
        expect(stream.timebase, way).toMatchObject({ guestTimebase, timeOfDayNs, offset })
        expect(stream.ramBlocks, way).toEqual(ramBlocks)
        expect(stream.trailingBytes, way).toBe(trailingBytes)
      }
    },
    60_000,
  )
})
