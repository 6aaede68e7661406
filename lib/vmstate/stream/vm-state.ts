import type { ByteSource } from './bytes.ts'
import { malformed, truncated, unsupported } from './errors.ts'
import { READ_SIZE } from './limits.ts'
import type { RandomAccess } from './random-access.ts'
import { exactly } from './snapshot-table.ts'
import type { SnapshotEntry } from './snapshot-table.ts'

/** An entry of an L1 or L2 table is a u64. The mask has the bits that are an offset in the image. */
const ENTRY_BYTES = 8
const OFFSET_MASK = 0x00ff_ffff_ffff_fe00n
const COMPRESSED = 1n << 62n
/** The bit of an L2 entry that says that the cluster reads as zeros, whatever its offset. */
const ZERO = 1n

/** The offset of a cluster of zeros, which is not in the image. */
const NOWHERE = 0

/**
 * Gives the bytes of the VM state of a snapshot in a qcow2 image. QEMU stores it like a part of the disk behind
 * the disk's end, where the next L2 table begins (QEMU, block/qcow2.h: qcow2_vm_state_offset).
 */
export class VmState implements ByteSource {
  readonly #image: RandomAccess
  readonly #entry: SnapshotEntry
  readonly #clusterBytes: number
  /** The number of entries in an L2 table, which takes one cluster. */
  readonly #tableEntries: number
  /** The number of the first cluster of the VM state, counted from the beginning of the disk. */
  readonly #firstCluster: number
  #position = 0
  #table: { readonly index: number; readonly entries: Buffer | undefined } | undefined

  constructor(image: RandomAccess, entry: SnapshotEntry, clusterBits: number) {
    this.#image = image
    this.#entry = entry
    this.#clusterBytes = 2 ** clusterBits
    this.#tableEntries = this.#clusterBytes / ENTRY_BYTES
    const tableBytes = this.#clusterBytes * this.#tableEntries
    this.#firstCluster = Math.ceil(entry.diskBytes / tableBytes) * this.#tableEntries
    // So that a small image, whose table names a cluster many times, cannot unpack to a long stream.
    if (entry.vmStateBytes > image.size) {
      throw truncated(
        `The image has ${image.size} bytes, and the VM state of its snapshot ${entry.name} ${entry.vmStateBytes}`,
        image.size,
      )
    }
  }

  async next(mayPass: number): Promise<{ bytes: Buffer | undefined; passed: number }> {
    const passed = Math.min(mayPass, this.#entry.vmStateBytes - this.#position)
    this.#position += passed
    const left = this.#entry.vmStateBytes - this.#position
    if (left === 0) return { bytes: undefined, passed }
    const bytes = await this.#read(Math.min(left, READ_SIZE))
    this.#position += bytes.length
    return { bytes, passed }
  }

  close(): Promise<void> {
    return Promise.resolve()
  }

  /** Reads the next bytes, at most `most`, as far as they are contiguous in the image. */
  async #read(most: number): Promise<Buffer> {
    const inside = this.#position % this.#clusterBytes
    let cluster = this.#firstCluster + (this.#position - inside) / this.#clusterBytes
    const start = await this.#place(cluster)
    let length = this.#clusterBytes - inside
    while (length < most) {
      const next = await this.#place(++cluster)
      if (start === NOWHERE || next !== start + inside + length) break
      length += this.#clusterBytes
    }
    length = Math.min(length, most)
    if (start === NOWHERE) return Buffer.alloc(length)
    return exactly(this.#image, start + inside, length, 'the VM state of its snapshot')
  }

  /** The offset of a cluster in the image. */
  async #place(cluster: number): Promise<number> {
    const inTable = cluster % this.#tableEntries
    const index = (cluster - inTable) / this.#tableEntries
    if (this.#table?.index !== index) this.#table = { index, entries: await this.#readTable(index) }
    const entry = this.#table.entries?.readBigUInt64BE(inTable * ENTRY_BYTES) ?? 0n
    if ((entry & COMPRESSED) !== 0n) {
      throw unsupported('A cluster of the VM state is compressed, which QEMU does not do', 0)
    }
    return (entry & ZERO) === 0n ? this.#offsetIn(entry) : NOWHERE
  }

  async #readTable(index: number): Promise<Buffer | undefined> {
    const { l1Offset, l1Entries, name } = this.#entry
    if (index >= l1Entries) {
      throw malformed(
        `The VM state of the snapshot ${name} is longer than the table of its clusters`,
        l1Offset,
      )
    }
    const what = 'the tables of a snapshot'
    const at = l1Offset + index * ENTRY_BYTES
    const entry = await exactly(this.#image, at, ENTRY_BYTES, what)
    const offset = this.#offsetIn(entry.readBigUInt64BE())
    if (offset === NOWHERE) return undefined
    return exactly(this.#image, offset, this.#clusterBytes, what)
  }

  #offsetIn(entry: bigint): number {
    const offset = Number(entry & OFFSET_MASK)
    if (offset % this.#clusterBytes === 0) return offset
    throw malformed('A cluster of the image is not where clusters begin', offset)
  }
}
