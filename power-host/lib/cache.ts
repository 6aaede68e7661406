import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { homedir } from 'node:os'
import path from 'node:path'
import { withLock } from './lock.ts'

/** The folder of the cache. It is outside the project, so that all clones share it. */
export function cacheRoot(): string {
  const base = process.env['XDG_CACHE_HOME']
  // The XDG specification says that a relative path is to be ignored.
  const parent = base && path.isAbsolute(base) ? base : path.join(homedir(), '.cache')
  return path.join(parent, 'power-host')
}

/**
 * Returns the directory of a cache entry, and builds the entry first if it does not exist. It is built under a
 * temporary name and renamed when complete, so an entry that exists is complete. The name must contain a hash
 * of everything that the entry is made from.
 */
export async function cached(
  name: string,
  build: (directory: string) => Promise<void>,
): Promise<string> {
  const entry = path.join(cacheRoot(), name)
  if (existsSync(entry)) return entry
  return exclusively(name, async () => {
    // Another run may have built the entry while this one waited for the lock.
    if (existsSync(entry)) return entry
    await withTemporary(async (directory) => {
      const complete = path.join(directory, 'entry')
      await mkdir(complete)
      await build(complete)
      await rename(complete, entry)
    })
    return entry
  })
}

/** Does the work while no other run does work under the same name. */
export function exclusively<T>(name: string, work: () => Promise<T>): Promise<T> {
  return withLock(path.join(cacheRoot(), 'locks', name), work)
}

/** Makes a temporary directory on the cache's file system, and removes it after the work. */
export async function withTemporary<T>(work: (directory: string) => Promise<T>): Promise<T> {
  const parent = path.join(cacheRoot(), 'tmp')
  await mkdir(parent, { recursive: true })
  await removeLeftovers(parent)
  const directory = await mkdtemp(path.join(parent, `${process.pid}-`))
  try {
    return await work(directory)
  } finally {
    await rm(directory, { recursive: true, force: true, maxRetries: 3 })
  }
}

/**
 * Removes what killed runs left behind: directories that are older than a day, since no run takes that long.
 * The age is that of the ctime, because unpacking a package sets the mtime to the package's.
 */
async function removeLeftovers(parent: string): Promise<void> {
  const yesterday = Date.now() - 24 * 3600 * 1000
  for (const name of await readdir(parent)) {
    const leftover = path.join(parent, name)
    const changed = await stat(leftover).catch(() => undefined)
    if (changed && changed.ctimeMs < yesterday) await rm(leftover, { recursive: true, force: true })
  }
}

/** A short hash of texts and of files. Files are given by their paths; a directory stands for all files in it. */
export async function keyOf(parts: { texts?: string[]; files?: string[] }): Promise<string> {
  const hash = createHash('sha256')
  // The lengths are hashed too, so that "ab", "c" and "a", "bc" have different hashes.
  const add = (data: string | Buffer): void => {
    hash.update(`${data.length}:`).update(data)
  }
  for (const text of parts.texts ?? []) add(text)
  for (const file of parts.files ?? []) {
    for (const name of await filesUnder(file)) {
      add(path.relative(path.dirname(file), name))
      add(await readFile(name))
    }
  }
  return hash.digest('hex').slice(0, 16)
}

/** The file itself, or all files below a directory, in a fixed order. */
async function filesUnder(file: string): Promise<string[]> {
  if (!(await stat(file)).isDirectory()) return [file]
  const entries = await readdir(file, { recursive: true, withFileTypes: true })
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => path.join(entry.parentPath, entry.name))
    .sort()
}
