import * as zlib from 'node:zlib'
import { AT_END } from './bytes.ts'
import type { ByteSource, Unpack } from './bytes.ts'
import { malformed, overLimit, truncated, unsupported } from './errors.ts'
import {
  FRAME_BYTES,
  FRAMES_AT_LEAST,
  READ_SIZE,
  UNPACKED_AT_LEAST,
  UNPACKED_RATIO,
} from './limits.ts'

/** Undefined in versions of Node before 22.15 and 23.8. */
const { createZstdDecompress } = zlib as unknown as {
  readonly createZstdDecompress?: (options: { readonly chunkSize: number }) => zlib.Gunzip
}

const options = { chunkSize: READ_SIZE }

function createZstd(): zlib.Gunzip {
  if (createZstdDecompress !== undefined) return createZstdDecompress(options)
  throw unsupported(`${needsNewerNode()}: unpack it first, with unzstd`, 0)
}

/** The error message for a version of Node without zstd. */
export function needsNewerNode(): string {
  return `It is packed with zstd, which Node ${process.versions.node} cannot unpack; Node 22.15 and 23.8 can`
}

/** Whether this version of Node can unpack a format. */
export function canUnpack(format: Unpack['format']): boolean {
  return format === 'gzip' || createZstdDecompress !== undefined
}

/**
 * Unpacks the bytes of another source. It does not read ahead: it asks for packed bytes only when all
 * unpacked ones have been used.
 */
export function unpacked(packed: ByteSource, { format, first }: Unpack): ByteSource {
  let unpacker = new Unpacker(format)
  let last = first
  let bytesIn = 0
  let bytesOut = 0
  let frames = 1
  const write = (bytes: Buffer) => {
    last = bytes
    unpacker.write(bytes)
  }
  bytesIn += first.length
  write(first)

  return {
    async next() {
      for (;;) {
        const outcome = await unpacker.next()
        if (outcome instanceof Error) {
          if (bytesOut > 0 && isBehindTheLastFrame(outcome)) return AT_END
          throw refusal(outcome, format, bytesOut)
        }
        if (Buffer.isBuffer(outcome)) {
          bytesOut += outcome.length
          checkRatio(format, bytesIn, bytesOut)
          return { bytes: outcome, passed: 0 }
        }
        // Node 22 stops at the end of a frame of zstd, even if another one follows in the same chunk.
        if (format === 'zstd' && unpacker.left > 0) {
          checkFrames(++frames, bytesOut)
          const rest = last.subarray(last.length - unpacker.left)
          unpacker.close()
          unpacker = new Unpacker(format)
          write(rest)
          continue
        }
        if (outcome === 'end') return AT_END
        const { bytes } = await packed.next(0)
        if (bytes === undefined) unpacker.end()
        else {
          bytesIn += bytes.length
          write(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength))
        }
      }
    },
    async close() {
      unpacker.close()
      await packed.close()
    },
  }
}

/** Unpacks with one of Node's streams, whose output is read on request. */
class Unpacker {
  readonly #transform: zlib.Gunzip
  #failure: NodeJS.ErrnoException | undefined
  #isWriting = false
  #hasEnded = false
  #written = 0
  #wake: () => void = () => undefined

  constructor(format: Unpack['format']) {
    this.#transform = format === 'gzip' ? zlib.createGunzip(options) : createZstd()
    this.#transform.on('readable', () => {
      this.#wake()
    })
    this.#transform.on('end', () => {
      this.#hasEnded = true
      this.#wake()
    })
    this.#transform.on('error', (error) => {
      this.#failure = error
      this.#wake()
    })
  }

  /** How many of the written bytes the stream has not consumed. */
  get left(): number {
    return this.#written - this.#transform.bytesWritten
  }

  write(bytes: Buffer): void {
    this.#written += bytes.length
    this.#isWriting = true
    this.#transform.write(bytes, () => {
      this.#isWriting = false
      this.#wake()
    })
  }

  end(): void {
    this.#transform.end()
  }

  close(): void {
    this.#transform.destroy()
  }

  /** Returns unpacked bytes, `'more'` if it needs more packed bytes, or `'end'`. */
  async next(): Promise<Buffer | NodeJS.ErrnoException | 'more' | 'end'> {
    for (;;) {
      if (this.#failure !== undefined) return this.#failure
      const bytes = this.#transform.read() as Buffer | null
      if (bytes !== null) return bytes
      if (this.#hasEnded) return 'end'
      if (!this.#isWriting && !this.#transform.writableEnded) return 'more'
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }
}

/** Whether zstd found other bytes where a frame would begin: padding, which is not part of the data. */
function isBehindTheLastFrame(error: NodeJS.ErrnoException): boolean {
  return error.code === 'ZSTD_error_prefix_unknown'
}

function checkRatio(format: string, bytesIn: number, bytesOut: number): void {
  if (bytesOut <= Math.max(UNPACKED_AT_LEAST, bytesIn * UNPACKED_RATIO)) return
  throw overLimit(
    `${bytesIn} bytes of ${format} unpack to more than ${UNPACKED_RATIO} times as many`,
    bytesOut,
  )
}

function checkFrames(frames: number, bytesOut: number): void {
  if (frames <= FRAMES_AT_LEAST + bytesOut / FRAME_BYTES) return
  throw overLimit(
    `More than ${FRAMES_AT_LEAST} frames of zstd, with hardly anything in them`,
    bytesOut,
  )
}

function refusal(error: NodeJS.ErrnoException, format: string, offset: number): Error {
  if (error.code === 'Z_BUF_ERROR') {
    return truncated(`The ${format} data end too early: ${error.message}`, offset)
  }
  return malformed(`The ${format} data cannot be unpacked: ${error.message}`, offset, error)
}
