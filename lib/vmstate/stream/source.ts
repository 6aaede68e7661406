import { open } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { types } from 'node:util'
import { checkUint8Array, wrongType } from '../../checks.ts'
import { parseAll } from './bytes.ts'
import type { Parser } from './bytes.ts'
import { READ_SIZE } from './limits.ts'
import type { QemuStreamSource } from './types.ts'

/** Runs a parser over a source, in one pass. */
export async function parseSource<T>(parser: Parser<T>, source: QemuStreamSource): Promise<T> {
  if (typeof source === 'string') return parseFile(parser, source)
  if (types.isUint8Array(source)) return parseAll(parser, source)
  if (isAsyncIterable(source)) return parseChunks(parser, source)
  throw wrongType('source', 'the path of a file, a Uint8Array or a Readable of bytes', source)
}

async function parseFile<T>(parser: Parser<T>, path: string): Promise<T> {
  const file = await open(path)
  try {
    const stats = await file.stat()
    if (!stats.isFile()) return await parseChunks(parser, chunksOf(file))
    return await parseSeekable(parser, file, stats.size)
  } finally {
    await file.close()
  }
}

/**
 * A regular file: the next bytes are read while those before are parsed, and those that nobody needs,
 * if they are many, are not read at all.
 */
async function parseSeekable<T>(parser: Parser<T>, file: FileHandle, size: number): Promise<T> {
  const memories = [Buffer.allocUnsafeSlow(READ_SIZE), Buffer.allocUnsafeSlow(READ_SIZE)] as const
  let turn = 0
  const read = (position: number) => {
    turn = 1 - turn
    return file.read(memories[turn === 0 ? 0 : 1], 0, READ_SIZE, position)
  }
  let position = 0
  let reading = read(position)
  try {
    let step = parser.next()
    while (!step.done) {
      let passed = 0
      if (step.value > READ_SIZE) {
        await reading
        passed = Math.min(step.value, Math.max(size - position, 0))
        position += passed
        reading = read(position)
      }
      const { bytesRead, buffer } = await reading
      position += bytesRead
      reading = read(position)
      const bytes = bytesRead === 0 ? undefined : buffer.subarray(0, bytesRead)
      step = parser.next({ bytes, passed })
    }
    return step.value
  } finally {
    // The file is closed next, and nobody waits for these bytes.
    await reading.catch(() => undefined)
  }
}

/** What comes out of a pipe or a device, always in the same memory. */
async function* chunksOf(file: FileHandle): AsyncGenerator<Uint8Array> {
  const memory = Buffer.allocUnsafeSlow(READ_SIZE)
  for (;;) {
    const { bytesRead } = await file.read(memory, 0, memory.length, null)
    if (bytesRead === 0) return
    yield memory.subarray(0, bytesRead)
  }
}

async function parseChunks<T>(parser: Parser<T>, chunks: AsyncIterable<Uint8Array>): Promise<T> {
  let step = parser.next()
  // An error leaves the loop as well, which destroys a Readable.
  for await (const bytes of chunks) {
    step = parser.next({ bytes: checkUint8Array('a chunk of source', bytes), passed: 0 })
    if (step.done) break
  }
  while (!step.done) step = parser.next({ bytes: undefined, passed: 0 })
  return step.value
}

function isAsyncIterable(value: unknown): value is AsyncIterable<Uint8Array> {
  return typeof value === 'object' && value !== null && Symbol.asyncIterator in value
}
