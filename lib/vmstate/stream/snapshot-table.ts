import { malformed, missing, overLimit, truncated, unknownVersion, unsupported } from './errors.ts'
import { SNAPSHOT_LIMIT } from './limits.ts'
import type { RandomAccess } from './random-access.ts'

/**
 * The snapshot in a qcow2 image from which a stream was read.
 *
 * @group Streams
 */
export interface QemuSnapshot {
  /** The id, such as `'1'`. */
  readonly id: string
  /** The name that `savevm` got. `qemu-img snapshot -l` shows it under TAG. */
  readonly name: string
}

/** An entry of the table of snapshots, by which the VM state of a snapshot is found. */
export interface SnapshotEntry extends QemuSnapshot {
  /** The offset in the image of its table of L2 tables, and the number of its entries. */
  readonly l1Offset: number
  readonly l1Entries: number
  /** The size of the VM state in bytes; 0 for a snapshot of the disk only. */
  readonly vmStateBytes: number
  /** The size that the disk had, in bytes. The VM state comes behind the disk. */
  readonly diskBytes: number
}

/** An image's snapshots and the size of its clusters. */
export interface Qcow2Image {
  readonly clusterBits: number
  readonly snapshots: readonly SnapshotEntry[]
}

/** The magic number of a qcow2 image, "QFI" and 0xfb (QEMU, docs/interop/qcow2.txt). */
export const QCOW2_MAGIC = 'QFI\xfb'

const HEADER_BYTES = 80
const OLDEST_VERSION = 2
const NEWEST_VERSION = 3
const CLUSTER_BITS_MIN = 9
const CLUSTER_BITS_MAX = 21

/** The incompatible features that do not matter to a reader of the VM state, and those that do. */
const HARMLESS_FEATURES = 0b1011n
const features: readonly (readonly [bigint, string])[] = [
  [1n << 2n, 'its data in another file'],
  [1n << 4n, 'extended L2 entries'],
]

const ENTRY_BYTES = 40
/** The most bytes of extra data that QEMU accepts in an entry. */
const EXTRA_LIMIT = 1024

/** Reads the header of a qcow2 image and the table of its snapshots. */
export async function readSnapshotTable(image: RandomAccess): Promise<Qcow2Image> {
  const header = await exactly(image, 0, HEADER_BYTES, 'the header of the qcow2 image')
  const version = header.readUInt32BE(4)
  if (version < OLDEST_VERSION || version > NEWEST_VERSION) {
    throw unknownVersion(
      `The qcow2 image has version ${version}; this release reads versions ${OLDEST_VERSION} and ${NEWEST_VERSION}`,
      4,
    )
  }
  const clusterBits = header.readUInt32BE(20)
  if (clusterBits < CLUSTER_BITS_MIN || clusterBits > CLUSTER_BITS_MAX) {
    throw malformed(
      `The qcow2 image has clusters of 2^${clusterBits} bytes; they have from 2^${CLUSTER_BITS_MIN} to 2^${CLUSTER_BITS_MAX}`,
      20,
    )
  }
  if (header.readUInt32BE(32) !== 0) throw cannotRead('is encrypted', 32)
  if (version >= 3) checkFeatures(header.readBigUInt64BE(72))
  const count = header.readUInt32BE(60)
  if (count > SNAPSHOT_LIMIT) {
    throw overLimit(`The qcow2 image has ${count} snapshots, more than ${SNAPSHOT_LIMIT}`, 60)
  }
  const diskBytes = Number(header.readBigUInt64BE(24))
  const snapshots: SnapshotEntry[] = []
  let at = Number(header.readBigUInt64BE(64))
  while (snapshots.length < count) {
    const { entry, end } = await readEntry(image, at, diskBytes)
    snapshots.push(entry)
    // Each entry is padded to a multiple of 8 bytes.
    at += 8 * Math.ceil((end - at) / 8)
  }
  return { clusterBits, snapshots }
}

async function readEntry(
  image: RandomAccess,
  at: number,
  diskBytes: number,
): Promise<{ entry: SnapshotEntry; end: number }> {
  const what = 'the table of snapshots'
  const fixed = await exactly(image, at, ENTRY_BYTES, what)
  const idLength = fixed.readUInt16BE(12)
  const nameLength = fixed.readUInt16BE(14)
  const extraLength = fixed.readUInt32BE(36)
  if (extraLength > EXTRA_LIMIT) {
    throw malformed(
      `A snapshot has ${extraLength} bytes of extra data; QEMU takes ${EXTRA_LIMIT} at most`,
      at + 36,
    )
  }
  const length = extraLength + idLength + nameLength
  const rest = await exactly(image, at + ENTRY_BYTES, length, what)
  const idEnd = extraLength + idLength
  const large = extraLength >= 8 ? rest.readBigUInt64BE(0) : 0n
  return {
    entry: {
      id: rest.toString('utf8', extraLength, idEnd),
      name: rest.toString('utf8', idEnd, length),
      l1Offset: Number(fixed.readBigUInt64BE(0)),
      l1Entries: fixed.readUInt32BE(8),
      vmStateBytes: Number(large) || fixed.readUInt32BE(32),
      diskBytes: extraLength >= 16 ? Number(rest.readBigUInt64BE(8)) : diskBytes,
    },
    end: at + ENTRY_BYTES + length,
  }
}

function checkFeatures(incompatible: bigint): void {
  const found = features.find(([bit]) => (incompatible & bit) !== 0n)
  if (found !== undefined) throw cannotRead(`has ${found[1]}`, 72)
  const known = features.reduce((bits, [bit]) => bits | bit, HARMLESS_FEATURES)
  const unknown = incompatible & ~known
  if (unknown !== 0n) throw cannotRead(`has the unknown features 0x${unknown.toString(16)}`, 72)
}

/** The error for an image that this release does not read. It says how QEMU can write the stream. */
function cannotRead(reason: string, offset: number): Error {
  return unsupported(
    `This qcow2 image ${reason}, which this release does not read. QEMU itself can write a snapshot's stream: start it with the options of the guest, -S and -loadvm NAME, and enter in its monitor: migrate "exec:cat > guest.stream"`,
    offset,
  )
}

/**
 * Chooses the snapshot with the wanted name or id; without one, the only snapshot.
 *
 * @throws VmstateError ERR_VMSTATE_MISSING that lists the snapshots if that is not exactly one
 */
export function chooseSnapshot({ snapshots }: Qcow2Image, wanted?: string): SnapshotEntry {
  const withState = snapshots.filter(({ vmStateBytes }) => vmStateBytes > 0)
  const chosen = wanted === undefined ? withState : namedOrNumbered(withState, wanted)
  const [only] = chosen
  if (only !== undefined && chosen.length === 1) return only
  if (withState.length === 0) {
    throw missing(
      snapshots.length === 0
        ? 'This is a qcow2 image, and there is no snapshot in it'
        : 'This is a qcow2 image, and its snapshots are of the disk alone, without the state of a VM',
    )
  }
  const list = withState
    .slice(0, LISTED)
    .map(({ id, name }) => `${name} (id ${id})`)
    .join(', ')
  const others = withState.length > LISTED ? ' and others' : ''
  throw missing(
    wanted === undefined
      ? `This qcow2 image has several snapshots with the state of a VM: ${list}${others}; choose one with the option snapshot`
      : `The qcow2 image has ${only === undefined ? 'no snapshot' : 'several snapshots'} ${wanted}; those with the state of a VM are ${list}${others}`,
  )
}

/** How many snapshots an error lists. */
const LISTED = 16

function namedOrNumbered(snapshots: readonly SnapshotEntry[], wanted: string): SnapshotEntry[] {
  const named = snapshots.filter(({ name }) => name === wanted)
  return named.length > 0 ? named : snapshots.filter(({ id }) => id === wanted)
}

/** Reads exactly `length` bytes of the image. */
export async function exactly(
  image: RandomAccess,
  position: number,
  length: number,
  what: string,
): Promise<Buffer> {
  const isInside = position + length <= image.size
  const bytes = isInside ? await image.read(position, length) : undefined
  if (bytes?.length === length) return bytes
  throw truncated(`The image ends inside ${what}`, Math.min(position, image.size))
}
