import { open } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { setImmediate } from 'node:timers/promises'
import { types } from 'node:util'
import { checkUint8Array, wrongType } from '../../checks.ts'
import { AT_END } from './bytes.ts'
import type { ByteSource, Parser, Unpack } from './bytes.ts'
import { READ_SIZE } from './limits.ts'
import { missing } from './errors.ts'
import { inFile, inMemory } from './random-access.ts'
import type { RandomAccess } from './random-access.ts'
import { chooseSnapshot, QCOW2_MAGIC, readSnapshotTable } from './snapshot-table.ts'
import type { QemuSnapshot } from './snapshot-table.ts'
import type { QemuStreamSource } from './types.ts'
import { unpacked } from './unpack.ts'
import { VmState } from './vm-state.ts'

/** How long a parser may run, in ms, before other work of the event loop gets its turn. */
const TURN_MS = 20

/** The bytes of a stream, and what they were taken out of. */
export interface OpenedSource {
  readonly bytes: ByteSource
  /** If the source is a qcow2 image. */
  readonly snapshot?: QemuSnapshot
}

/**
 * Opens a source. Of a qcow2 image the bytes are those of a snapshot's VM state.
 *
 * @param snapshot the name or the id of the snapshot, if there are several
 */
export async function openSource(
  source: QemuStreamSource,
  snapshot?: string,
): Promise<OpenedSource> {
  if (typeof source === 'string') return openFile(source, snapshot)
  if (types.isUint8Array(source)) {
    return openImage(inMemory(source), memorySource(source), snapshot)
  }
  if (isAsyncIterable(source)) {
    if (snapshot !== undefined) throw noImage(snapshot)
    return { bytes: chunkSource(source) }
  }
  throw wrongType('source', 'the path of a file, a Uint8Array or a Readable of bytes', source)
}

async function openFile(path: string, snapshot?: string): Promise<OpenedSource> {
  const file = await open(path)
  const closingFile = (opened: OpenedSource): OpenedSource => ({
    ...opened,
    bytes: {
      next: (mayPass) => opened.bytes.next(mayPass),
      async close() {
        await opened.bytes.close()
        await file.close()
      },
    },
  })
  try {
    const stats = await file.stat()
    if (!stats.isFile()) {
      if (snapshot !== undefined) throw noImage(snapshot)
      return closingFile({ bytes: chunkSource(chunksOf(file)) })
    }
    const image = inFile(file, stats.size)
    return closingFile(await openImage(image, fileSource(file, stats.size), snapshot))
  } catch (error) {
    await file.close()
    throw error
  }
}

/** The VM state in a qcow2 image, or `plain` if it is not one. */
async function openImage(
  image: RandomAccess,
  plain: ByteSource,
  wanted?: string,
): Promise<OpenedSource> {
  const start = await image.read(0, QCOW2_MAGIC.length)
  if (start.toString('latin1') !== QCOW2_MAGIC) {
    if (wanted !== undefined) throw noImage(wanted)
    return { bytes: plain }
  }
  const table = await readSnapshotTable(image)
  const entry = chooseSnapshot(table, wanted)
  const { id, name } = entry
  return { bytes: new VmState(image, entry, table.clusterBits), snapshot: { id, name } }
}

function noImage(snapshot: string): Error {
  return missing(
    `There is no snapshot ${snapshot}: the source is not a qcow2 image in a file or in memory`,
  )
}

/** Runs a parser over bytes, in one pass, and closes their source. */
export async function parseSource<T>(parser: Parser<T>, first: ByteSource): Promise<T> {
  let source = first
  // Only work is counted: while a read is waited for, the event loop has its turn anyway.
  let workedMs = 0
  try {
    let step = parser.next()
    while (!step.done) {
      const asked = step.value
      let input = AT_END
      if (typeof asked === 'number') {
        const answer = source.next(asked)
        input = answer instanceof Promise ? await answer : answer
      } else if (asked !== 'pause') {
        source = unpacked(source, asked)
      }
      if (workedMs > TURN_MS) {
        await setImmediate()
        workedMs = 0
      }
      const started = performance.now()
      step = parser.next(input)
      workedMs += performance.now() - started
    }
    return step.value
  } finally {
    await source.close()
  }
}

/** Gives bytes in memory piece by piece, so that the parser can pause in between. */
function memorySource(bytes: Uint8Array): ByteSource {
  let position = 0
  return {
    next(mayPass) {
      const passed = Math.min(mayPass, bytes.length - position)
      position += passed
      const piece = bytes.subarray(position, position + READ_SIZE)
      position += piece.length
      return { bytes: piece.length === 0 ? undefined : piece, passed }
    },
    close: () => Promise.resolve(),
  }
}

/**
 * Gives the bytes of a regular file. The next bytes are read while those before are parsed. Bytes that may be
 * skipped are not read if they are more than one read takes.
 */
function fileSource(file: FileHandle, size: number): ByteSource {
  const memories = [Buffer.allocUnsafeSlow(READ_SIZE), Buffer.allocUnsafeSlow(READ_SIZE)] as const
  let turn = 0
  let position = 0
  let reading: ReturnType<typeof read> | undefined
  const read = () => {
    turn = 1 - turn
    return file.read(memories[turn === 0 ? 0 : 1], 0, READ_SIZE, position)
  }
  return {
    async next(mayPass) {
      let passed = 0
      if (mayPass > READ_SIZE) {
        await reading
        passed = Math.min(mayPass, Math.max(size - position, 0))
        position += passed
        reading = undefined
      }
      const { bytesRead, buffer } = await (reading ?? read())
      position += bytesRead
      reading = read()
      // If the read fails, the next call throws; without a next call the error does not matter.
      reading.catch(() => undefined)
      return { bytes: bytesRead === 0 ? undefined : buffer.subarray(0, bytesRead), passed }
    },
    // The caller closes the file next, and must not do so during a read.
    async close() {
      await reading?.catch(() => undefined)
    },
  }
}

/** The bytes from a pipe or a device. All chunks share the same memory. */
async function* chunksOf(file: FileHandle): AsyncGenerator<Uint8Array> {
  const memory = Buffer.allocUnsafeSlow(READ_SIZE)
  for (;;) {
    const { bytesRead } = await file.read(memory, 0, memory.length, null)
    if (bytesRead === 0) return
    yield memory.subarray(0, bytesRead)
  }
}

function chunkSource(chunks: AsyncIterable<Uint8Array>): ByteSource {
  const iterator = chunks[Symbol.asyncIterator]()
  let isOver = false
  return {
    async next() {
      if (isOver) return AT_END
      // Set first, since an iterator that throws is over as well.
      isOver = true
      const result = await iterator.next()
      if (result.done === true) return AT_END
      isOver = false
      return { bytes: checkUint8Array('a chunk of source', result.value), passed: 0 }
    },
    // For a Readable, return() destroys it.
    async close() {
      if (!isOver) await iterator.return?.()
    },
  }
}

/** Unpacks chunks of packed bytes. */
export async function* unpackedChunks(
  chunks: AsyncIterable<Uint8Array>,
  format: Unpack['format'],
): AsyncGenerator<Buffer> {
  const source = unpacked(chunkSource(chunks), { format, first: Buffer.alloc(0) })
  try {
    for (;;) {
      const { bytes } = await source.next(0)
      if (bytes === undefined) return
      yield Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    }
  } finally {
    await source.close()
  }
}

function isAsyncIterable(value: unknown): value is AsyncIterable<Uint8Array> {
  return typeof value === 'object' && value !== null && Symbol.asyncIterator in value
}
