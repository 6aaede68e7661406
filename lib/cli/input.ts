import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { VmstateError } from '../errors.ts'
import { unpackedChunks } from '../vmstate/stream/source.ts'
import { withProgress } from './progress.ts'

/** Bytes that are read at a time. */
const CHUNK_BYTES = 1024 * 1024

/** As many bytes as it takes to recognise a format. */
const START_BYTES = 16

/** The formats of which the contents are looked at, by their first bytes. */
const packings = [
  { format: 'gzip', magic: Buffer.of(0x1f, 0x8b) },
  { format: 'zstd', magic: Buffer.of(0x28, 0xb5, 0x2f, 0xfd) },
] as const

/** What is to be decoded: its first bytes, and all of them. */
export interface Input {
  readonly start: Buffer
  readonly chunks: AsyncIterable<Buffer>
  /** The path, if the bytes are those of a file. */
  readonly file?: string
}

/** The bytes of a file, or of standard input for `-`; what gzip or zstd has packed is unpacked. */
export async function openInput(file: string): Promise<Input> {
  const input = await peek(file === '-' ? process.stdin : await openFile(file))
  const packing = packings.find(({ magic }) => input.start.subarray(0, magic.length).equals(magic))
  if (packing !== undefined) return peek(unpackedChunks(input.chunks, packing.format))
  return file === '-' ? input : { ...input, file }
}

async function openFile(file: string): Promise<AsyncIterable<Buffer>> {
  const { size } = await stat(file)
  return withProgress(createReadStream(file, { highWaterMark: CHUNK_BYTES }), size)
}

async function peek(chunks: AsyncIterable<Buffer>): Promise<Input> {
  const iterator = chunks[Symbol.asyncIterator]()
  const seen: Buffer[] = []
  let length = 0
  while (length < START_BYTES) {
    const next = await iterator.next()
    if (next.done) break
    seen.push(next.value)
    length += next.value.length
  }
  async function* all(): AsyncGenerator<Buffer> {
    yield* seen
    yield* { [Symbol.asyncIterator]: () => iterator }
  }
  return { start: Buffer.concat(seen).subarray(0, START_BYTES), chunks: all() }
}

/** All bytes of something that has to be small. */
export async function readAll({ chunks }: Input, limit: number): Promise<Buffer> {
  const held: Buffer[] = []
  let length = 0
  for await (const chunk of chunks) {
    length += chunk.length
    if (length > limit) {
      throw new VmstateError('ERR_VMSTATE_LIMIT', `It has more than ${limit} bytes`)
    }
    held.push(chunk)
  }
  return Buffer.concat(held)
}
