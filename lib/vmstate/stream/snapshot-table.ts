import { malformed, missing, overLimit, truncated, unknownVersion, unsupported } from './errors.ts'
import { SNAPSHOT_LIMIT } from './limits.ts'
import type { RandomAccess } from './random-access.ts'

/**
 * A snapshot in a qcow2 image, from which a stream was read.
 *
 * @group Streams
 */
export interface QemuSnapshot {
  /** `1` */
  readonly id: string
  /** As `savevm` was told, which `qemu-img snapshot -l` shows under TAG. */
  readonly name: string
}

/** What has to be known to find the VM state of a snapshot. */
export interface SnapshotEntry extends QemuSnapshot {
  /** Where in the image its table of L2 tables is, and how many entries that has. */
  readonly l1Offset: number
  readonly l1Entries: number
  /** Of the VM state, in bytes: 0 if it is a snapshot of the disk alone. */
  readonly vmStateBytes: number
  /** Of the disk as it was, in bytes. The VM state comes behind it. */
  readonly diskBytes: number
}

/** An image's snapshots and the size of its clusters. */
export interface Qcow2Image {
  readonly clusterBits: number
  readonly snapshots: readonly SnapshotEntry[]
}

/** QEMU, docs/interop/qcow2.txt: "QFI" and 0xfb. */
export const QCOW2_MAGIC = 'QFI\xfb'

const HEADER_BYTES = 80
const OLDEST_VERSION = 2
const NEWEST_VERSION = 3
const CLUSTER_BITS_MIN = 9
const CLUSTER_BITS_MAX = 21

/** Incompatible features: those that change nothing for a reader of the VM state, and those that do. */
const HARMLESS_FEATURES = 0b1011n
const features: readonly (readonly [bigint, string])[] = [
  [1n << 2n, 'its data in another file'],
  [1n << 4n, 'extended L2 entries'],
]

const ENTRY_BYTES = 40
/** QEMU takes no more of them. */
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

/** A kind of image that is not read here; QEMU can take the state out of it. */
function cannotRead(reason: string, offset: number): Error {
  return unsupported(
    `This qcow2 image ${reason}, which this release does not read. QEMU itself can take a snapshot's state out: start it with the options of the guest, -S and -loadvm NAME, and tell its monitor: migrate "exec:cat > guest.stream"`,
    offset,
  )
}

/**
 * The snapshot whose VM state is to be read: the one with the wanted name or id, or the only one.
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

/** Bytes of the image that must be there. */
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
