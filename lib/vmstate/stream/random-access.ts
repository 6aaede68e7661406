import type { FileHandle } from 'node:fs/promises'

/** Bytes that can be read in any order: those of a file, or in memory. */
export interface RandomAccess {
  /** In bytes. */
  readonly size: number
  /** The bytes at a position, fewer at the end. */
  read(position: number, length: number): Promise<Buffer>
}

export function inFile(file: FileHandle, size: number): RandomAccess {
  return {
    size,
    async read(position, length) {
      const memory = Buffer.allocUnsafeSlow(length)
      const { bytesRead } = await file.read(memory, 0, length, position)
      return memory.subarray(0, bytesRead)
    },
  }
}

export function inMemory(bytes: Uint8Array): RandomAccess {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return {
    size: buffer.length,
    read: (position, length) => Promise.resolve(buffer.subarray(position, position + length)),
  }
}
