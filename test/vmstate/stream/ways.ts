import { createReadStream } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import type { QemuStreamSource } from '../../../lib/vmstate/index.ts'
import { reused } from './expected.ts'

/** Bytes as each kind of source: in memory, a file, a pipe, and chunks of an odd size in one memory. */
export async function waysToRead(
  bytes: Buffer,
  path: string,
): Promise<Readonly<Record<string, () => QemuStreamSource>>> {
  await writeFile(path, bytes)
  return {
    memory: () => bytes,
    file: () => path,
    pipe: () => createReadStream(path),
    'odd chunks': () => reused(bytes, 4099),
  }
}
