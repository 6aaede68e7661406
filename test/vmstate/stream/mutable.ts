import * as zlib from 'node:zlib'
import {
  blockList,
  capabilities,
  command,
  configuration,
  describedSpapr,
  describedTimer,
  description,
  endMark,
  EOS,
  front,
  header,
  htabEnd,
  htabStart,
  join,
  ordinary,
  part,
  RAM_ID,
  ramEnd,
  ramPart,
  ramStart,
  record,
  spapr,
  start,
  subsection,
  text,
  timer,
  u16,
  u32,
  u64,
  BLOCK,
  BLOCK_BYTES,
} from './build.ts'
import { imageWith } from './build-qcow2.ts'

/** Streams and images to make mutants of. */

const tail = join(timer, spapr, endMark, description([describedTimer, describedSpapr]))
const contents = join(command(4), timer, spapr, command(5))

/** Of a raw image: version 2, 32 bytes of XML. */
const libvirtHeader = join(
  Buffer.from('LibvirtQemudSave'),
  [2, 0, 0, 0, 32, 0, 0, 0],
  Buffer.alloc(68),
  Buffer.from('<domain>\n  <name>a</name>\n'.padEnd(32, '\0')),
)

/**
 * Of mapped-ram, cut out of a file just where the image of RAM follows its bitmap: otherwise there is up
 * to a mebibyte between them.
 */
const mapped = mappedRam()

function mappedRam(): Buffer {
  const opening = join(
    header,
    configuration('pseries-11.1', capabilities('mapped-ram')),
    start(RAM_ID, 'ram', 4, record(4, BLOCK_BYTES), text(BLOCK), u64(BigInt(BLOCK_BYTES))).subarray(
      0,
      -5,
    ),
  )
  const bitmap = opening.length + 28
  const shift = (1 << 20) - bitmap - 8
  const places = join(u64(BigInt(bitmap + shift)), u64(1n << 20n))
  const image = join(u32(1), u64(4096n), places, Buffer.alloc(8 + BLOCK_BYTES, 0x5a))
  return join(opening, image, EOS, [0x7e], u32(RAM_ID), ramEnd, tail)
}

/** Small streams of all kinds, so that most mutations hit something that matters. */
export const smallStreams: readonly Buffer[] = [
  ordinary,
  join(
    header,
    configuration(
      'pseries-7.2',
      subsection('configuration/target-page-bits', 1, u32(12)),
      capabilities('x-ignore-shared'),
      subsection('configuration/uuid', 1, Buffer.alloc(16, 7)),
    ),
    command(2, u32(1)),
    start(RAM_ID, 'ram', 4, blockList(u64(0n)), EOS),
    tail,
  ),
  join(
    header,
    configuration('pseries-3.1'),
    ramStart,
    htabStart,
    part(
      RAM_ID,
      record(0x40, 0, text(BLOCK), join([1], u16(5), Buffer.alloc(5))),
      record(0x120, 0x1000, u32(9), Buffer.alloc(9)),
      record(0x22, 0x2000, [0]),
      record(0x200, 0),
      EOS,
    ),
    ramEnd,
    htabEnd,
    tail,
  ),
  join(front, command(7, u32(contents.length)), contents, endMark),
  join(header, ramStart, htabStart, ramPart, timer, spapr, endMark),
  // QEMU 10.1 to 11: postcopy of huge pages that ends twice, dirty bitmaps, bytes behind the stream.
  join(
    header,
    configuration('pseries-11.1', capabilities('x-ignore-shared')),
    command(3, Buffer.alloc(16, 1)),
    start(RAM_ID, 'ram', 4, blockList(u64(0x20_0000n), u64(0n)), EOS),
    htabStart,
    htabEnd,
    command(7, u32(contents.length)),
    contents,
    ramEnd,
    htabEnd,
    ramEnd,
    endMark,
  ),
  join(
    header,
    configuration('pseries-11.1'),
    start(7, 'dirty-bitmap', 1, [0x1c], text('disk'), text('map'), u32(65536), [3], [1]),
    ramStart,
    part(7, [0x4c], text('disk'), text('map'), u64(0n), u32(64), u64(8n), Buffer.alloc(8, 1), [1]),
    ramEnd,
    tail,
    Buffer.alloc(64),
  ),
  join(libvirtHeader, ordinary),
  mapped,
]

const { zstdCompressSync } = zlib as unknown as {
  readonly zstdCompressSync?: (bytes: Buffer) => Buffer
}

/** The header of libvirt's image, for another format. */
function packed(format: number, payload: Buffer): Buffer {
  const image = join(libvirtHeader, payload)
  image.writeUInt32LE(format, 16 + 12)
  return image
}

/** What has to be unpacked, or is not read from front to back. */
export const smallImages: readonly Buffer[] = [
  packed(1, zlib.gzipSync(ordinary)),
  ...(zstdCompressSync === undefined ? [] : [packed(5, zstdCompressSync(ordinary))]),
  imageWith([{ id: '1', name: 'a', vmState: ordinary }]),
  imageWith([{ id: '1', name: 'a', vmState: ordinary }], { version: 2, hasExtraData: false }),
]
