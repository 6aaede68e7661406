import { createReadStream, createWriteStream } from 'node:fs'
import { readdir, rm } from 'node:fs/promises'
import path from 'node:path'
import { pipeline } from 'node:stream/promises'
import { interrupted } from './interrupt.ts'
import { run } from './run.ts'
import { tool } from './tools.ts'

/**
 * Packs a directory as a compressed archive that the kernel unpacks at boot. All files in it belong to root.
 *
 * It is compressed because powernv does not load more than 128 MiB, and here, so that an archive from the cache
 * is not compressed again for each boot. The emulated processor unpacks lz4 about as fast as it copies, while
 * gzip and zstd take seconds longer. The kernel reads only lz4's old format.
 */
export async function pack(directory: string, archive: string): Promise<void> {
  // With file types, since readdir would otherwise follow links to directories.
  const entries = await readdir(directory, { recursive: true, withFileTypes: true })
  const names = entries.map((entry) =>
    path.relative(directory, path.join(entry.parentPath, entry.name)),
  )
  // Sorted, so that each directory comes before its files.
  const list = names.sort().join('\0')
  const options = ['--create', '--format=newc', '--null', '--owner=0:0', '--quiet']
  const plain = path.resolve(`${archive}.cpio`)
  const [cpio, lz4] = [await tool('cpio'), await tool('lz4')]
  await run(cpio.command, [...cpio.args, ...options, '--file', plain], {
    cwd: directory,
    input: list,
  })
  await run(lz4.command, [...lz4.args, '-l', '-1', '--quiet', plain, path.resolve(archive)])
  await rm(plain)
}

/**
 * Joins packed archives in one file. The kernel unpacks them in order, so that later files replace earlier
 * ones: in lz4's old format each file is a sequence of blocks, and the next file's magic number may come between
 * two of them (the kernel's lib/decompress_unlz4.c).
 */
export async function joinArchives(archives: readonly string[], target: string): Promise<void> {
  for (const archive of archives) {
    const end = createWriteStream(target, { flags: 'a' })
    await pipeline(createReadStream(archive), end, { signal: interrupted })
  }
}
