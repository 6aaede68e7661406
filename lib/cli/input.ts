import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { VmstateError } from '../errors.ts'
import { unpackedChunks } from '../vmstate/stream/source.ts'
import { withProgress } from './progress.ts'

/** Bytes that are read at a time. */
const CHUNK_BYTES = 1024 * 1024

/** The number of bytes by which a format is recognised. */
const START_BYTES = 16

/** The formats that are unpacked, by their first bytes. */
const packings = [
  { format: 'gzip', magic: Buffer.of(0x1f, 0x8b) },
  { format: 'zstd', magic: Buffer.of(0x28, 0xb5, 0x2f, 0xfd) },
] as const

/** The bytes to decode. `chunks` has all of them, those in `start` included. */
export interface Input {
  readonly start: Buffer
  readonly chunks: AsyncIterable<Buffer>
  /** The path of the file, if the bytes are a file's and were not unpacked. */
  readonly file?: string
  /** Closes the file if its chunks are not read. */
  readonly close: () => Promise<void>
}

/** Opens a file, or standard input for `-`. Bytes packed with gzip or zstd are unpacked. */
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
  const close = async () => {
    await iterator.return?.()
  }
  return { start: Buffer.concat(seen).subarray(0, START_BYTES), chunks: all(), close }
}

/** Reads all bytes of an input that has to be small. */
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

/** Text in UTF-8, or with a byte order mark in UTF-16; editors and shells of Windows put one in front. */
export function textOf(bytes: Buffer): string {
  const mark = bytes.toString('latin1', 0, 2)
  if (mark === '\xff\xfe') return new TextDecoder('utf-16le').decode(bytes)
  if (mark === '\xfe\xff') return new TextDecoder('utf-16be').decode(bytes)
  return new TextDecoder().decode(bytes)
}
