import * as zlib from 'node:zlib'
import type { Transform } from 'node:stream'
import { AT_END } from './bytes.ts'
import type { ByteSource, Unpack } from './bytes.ts'
import { malformed, overLimit, truncated, unsupported } from './errors.ts'
import { READ_SIZE, UNPACKED_AT_LEAST, UNPACKED_RATIO } from './limits.ts'

/** Undefined in versions of Node before 22.15 and 23.8. */
const { createZstdDecompress } = zlib as unknown as {
  readonly createZstdDecompress?: (options: { readonly chunkSize: number }) => Transform
}

const options = { chunkSize: READ_SIZE }

function createZstd(): Transform {
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
  const transform = format === 'gzip' ? zlib.createGunzip(options) : createZstd()
  let failure: NodeJS.ErrnoException | undefined
  let isWriting = false
  let hasEnded = false
  let wake: () => void = () => undefined
  transform.on('readable', () => {
    wake()
  })
  transform.on('end', () => {
    hasEnded = true
    wake()
  })
  transform.on('error', (error) => {
    failure = error
    wake()
  })

  let bytesIn = 0
  let bytesOut = 0
  const write = (bytes: Uint8Array) => {
    bytesIn += bytes.length
    isWriting = true
    transform.write(bytes, () => {
      isWriting = false
      wake()
    })
  }
  write(first)

  return {
    async next() {
      for (;;) {
        if (failure !== undefined) throw refusal(failure, format, bytesOut)
        const bytes = transform.read() as Buffer | null
        if (bytes !== null) {
          bytesOut += bytes.length
          checkRatio(format, bytesIn, bytesOut)
          return { bytes, passed: 0 }
        }
        if (hasEnded) return AT_END
        if (isWriting || transform.writableEnded) {
          await new Promise<void>((resolve) => {
            wake = resolve
          })
        } else {
          const more = await packed.next(0)
          if (more.bytes === undefined) transform.end()
          else write(more.bytes)
        }
      }
    },
    async close() {
      transform.destroy()
      await packed.close()
    },
  }
}

function checkRatio(format: string, bytesIn: number, bytesOut: number): void {
  if (bytesOut <= Math.max(UNPACKED_AT_LEAST, bytesIn * UNPACKED_RATIO)) return
  throw overLimit(
    `${bytesIn} bytes of ${format} unpack to more than ${UNPACKED_RATIO} times as many`,
    bytesOut,
  )
}

function refusal(error: NodeJS.ErrnoException, format: string, offset: number): Error {
  if (error.code === 'Z_BUF_ERROR') {
    return truncated(`The ${format} data end too early: ${error.message}`, offset)
  }
  return malformed(`The ${format} data cannot be unpacked: ${error.message}`, offset, error)
}
