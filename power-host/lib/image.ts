import { createReadStream, createWriteStream } from 'node:fs'
import { readdir, rm } from 'node:fs/promises'
import path from 'node:path'
import { pipeline } from 'node:stream/promises'
import { interrupted } from './interrupt.ts'
import { run } from './run.ts'
import { tool } from './tools.ts'

/** Packs a directory as an archive that the kernel unpacks at boot, all owned by root. */
export async function pack(directory: string, archive: string): Promise<void> {
  // With types, or readdir would follow links to directories.
  const entries = await readdir(directory, { recursive: true, withFileTypes: true })
  const names = entries.map((entry) =>
    path.relative(directory, path.join(entry.parentPath, entry.name)),
  )
  // Sorted, each directory comes before what is in it.
  const list = names.sort().join('\0')
  const options = ['--create', '--format=newc', '--null', '--owner=0:0', '--quiet']
  const { command, args } = await tool('cpio')
  await run(command, [...args, ...options, '--file', path.resolve(archive)], {
    cwd: directory,
    input: list,
  })
}

/**
 * The kernel unpacks archives that follow each other in one file, the later over the earlier. They
 * have to begin at multiples of four bytes, and cpio fills its archives up to 512.
 *
 * Compressed, since powernv takes no more than 128 MiB. The emulated processor unpacks lz4 about as fast
 * as it copies, gzip and zstd take it seconds longer; the kernel wants lz4's old format.
 */
export async function joinArchives(archives: readonly string[], target: string): Promise<void> {
  const joined = `${target}.cpio`
  for (const archive of archives) {
    const end = createWriteStream(joined, { flags: 'a' })
    await pipeline(createReadStream(archive), end, { signal: interrupted })
  }
  const { command, args } = await tool('lz4')
  await run(command, [...args, '-l', '-1', '--quiet', joined, target])
  await rm(joined)
}
