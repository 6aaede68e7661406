import { createReadStream, createWriteStream } from 'node:fs'
import { readdir, rm } from 'node:fs/promises'
import path from 'node:path'
import { pipeline } from 'node:stream/promises'
import { interrupted } from './interrupt.ts'
import { run } from './run.ts'
import { tool } from './tools.ts'

/** Packs a directory as an archive that the kernel unpacks at boot. All files in it belong to root. */
export async function pack(directory: string, archive: string): Promise<void> {
  // With file types, since readdir would otherwise follow links to directories.
  const entries = await readdir(directory, { recursive: true, withFileTypes: true })
  const names = entries.map((entry) =>
    path.relative(directory, path.join(entry.parentPath, entry.name)),
  )
  // Sorted, so that each directory comes before its files.
  const list = names.sort().join('\0')
  const options = ['--create', '--format=newc', '--null', '--owner=0:0', '--quiet']
  const { command, args } = await tool('cpio')
  await run(command, [...args, ...options, '--file', path.resolve(archive)], {
    cwd: directory,
    input: list,
  })
}

/**
 * Joins archives in one compressed file. The kernel unpacks them in order, so that later files replace earlier
 * ones. Each has to begin at a multiple of four bytes, which it does since cpio pads its archives to 512.
 *
 * The file is compressed because powernv does not load more than 128 MiB. The emulated processor unpacks lz4
 * about as fast as it copies, while gzip and zstd take seconds longer. The kernel reads only lz4's old format.
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
