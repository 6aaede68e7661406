import { join, u16, u32, u64 } from './build.ts'

/** Small qcow2 images, whose clusters are in no order. */

export interface SnapshotToBuild {
  readonly id: string
  readonly name: string
  /** Empty for a snapshot of the disk alone. */
  readonly vmState: Buffer
}

export interface ImageToBuild {
  readonly version?: number
  readonly clusterBits?: number
  readonly diskBytes?: bigint
  /** Without it the length of a VM state is a u32, as in images of version 2. */
  readonly hasExtraData?: boolean
  readonly incompatible?: bigint
  readonly cryptMethod?: number
}

/** An image with these snapshots. A cluster of the VM state that is all zero is left out. */
export function imageWith(
  snapshots: readonly SnapshotToBuild[],
  options: ImageToBuild = {},
): Buffer {
  const { version = 3, clusterBits = 9, diskBytes = 3n << 20n, hasExtraData = true } = options
  const { incompatible = 0n, cryptMethod = 0 } = options
  const size = 2 ** clusterBits
  const image = new Clusters(size)
  const entries = snapshots.map(({ id, name, vmState }) => {
    const l1 = tables(image, vmState, diskBytes)
    const extra = hasExtraData ? join(u64(BigInt(vmState.length)), u64(diskBytes)) : Buffer.alloc(0)
    const entry = join(
      ...[
        u64(l1.offset),
        u32(l1.entries),
        u16(Buffer.byteLength(id)),
        u16(Buffer.byteLength(name)),
      ],
      ...[u32(0), u32(0), u64(0n), u32(hasExtraData ? 0 : vmState.length), u32(extra.length)],
      ...[extra, Buffer.from(id), Buffer.from(name)],
    )
    return join(entry, Buffer.alloc(-entry.length & 7))
  })
  const table = image.add(join(...entries))
  const header = join(
    ...[Buffer.from('QFI\xfb', 'latin1'), u32(version), u64(0n), u32(0), u32(clusterBits)],
    ...[u64(diskBytes), u32(cryptMethod), u32(0), u64(0n), u64(0n), u32(0)],
    ...[u32(snapshots.length), u64(table), u64(incompatible), u64(0n), u64(0n), u32(4), u32(104)],
  )
  return image.bytes(header)
}

/** Puts a VM state into the image, and the tables that lead to it. */
function tables(image: Clusters, vmState: Buffer, diskBytes: bigint) {
  const perTable = image.size / 8
  const firstTable = Math.ceil(Number(diskBytes) / (image.size * perTable))
  const chunks: Buffer[] = []
  for (let at = 0; at < vmState.length; at += image.size) {
    chunks.push(vmState.subarray(at, at + image.size))
  }
  // From the last to the first, so that no two that follow each other are neighbours in the image.
  const places = chunks
    .map((chunk, index) => ({ chunk, index }))
    .reverse()
    .map(
      ({ chunk, index }) =>
        [index, chunk.some((byte) => byte !== 0) ? image.add(chunk) : 0n] as const,
    )
  const l1 = Array.from({ length: firstTable }, () => u64(0n))
  for (let first = 0; first < chunks.length; first += perTable) {
    const table = Buffer.alloc(image.size)
    for (const [index, place] of places) {
      if (index >= first && index < first + perTable)
        table.writeBigUInt64BE(place, 8 * (index - first))
    }
    l1.push(u64(image.add(table)))
  }
  return { offset: image.add(join(...l1)), entries: l1.length }
}

class Clusters {
  readonly size: number
  readonly #clusters: Buffer[] = []
  #length = 1

  constructor(size: number) {
    this.size = size
  }

  /** Puts bytes into clusters of their own, and returns where they begin. */
  add(bytes: Buffer): bigint {
    const place = this.#length * this.size
    const clusters = Math.max(1, Math.ceil(bytes.length / this.size))
    const memory = Buffer.alloc(clusters * this.size)
    bytes.copy(memory)
    this.#clusters.push(memory)
    this.#length += clusters
    return BigInt(place)
  }

  bytes(header: Buffer): Buffer {
    return join(header, Buffer.alloc(this.size - header.length), ...this.#clusters)
  }
}
