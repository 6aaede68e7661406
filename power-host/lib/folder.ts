import { cp, lstat, mkdir, readdir } from 'node:fs/promises'
import path from 'node:path'
import { exitStatus, Failure } from './failure.ts'
import { pack } from './image.ts'
import { npmArchive, packageArchives } from './npm.ts'
import { run } from './run.ts'

/** The path of the folder on the emulated host. */
export const FOLDER_ON_HOST = '/project'

/** Folders that are left out: npm installs node_modules for the host's processor, and .git is not needed. */
const leftOut = new Set(['node_modules', '.git'])

/**
 * Makes the archives with a folder for {@link FOLDER_ON_HOST}: the files that git tracks or would add, or all
 * files if the folder is not in git, and those named in `more`, which git may ignore. If the folder has a
 * package.json, npm and its dependencies for ppc64 are added.
 */
export async function folderArchives(
  folder: string,
  more: readonly string[],
  into: string,
): Promise<string[]> {
  const files = await filesOf(folder)
  const place = path.join(into, 'folder', FOLDER_ON_HOST)
  await mkdir(place, { recursive: true })
  for (const name of files) await copy(path.join(folder, name), path.join(place, name))
  for (const name of more) {
    const relative = path.relative(folder, path.resolve(folder, name))
    if (relative.startsWith('..')) {
      throw new Failure(`--with ${name}: it is not in this folder`, exitStatus.usage)
    }
    await copy(path.join(folder, relative), path.join(place, relative))
  }
  const archive = path.join(into, 'folder.cpio.lz4')
  await pack(path.join(into, 'folder'), archive)
  if (!files.includes('package.json')) return [archive]
  return [await npmArchive(), ...(await packageArchives(folder, files, FOLDER_ON_HOST)), archive]
}

async function copy(from: string, to: string): Promise<void> {
  await mkdir(path.dirname(to), { recursive: true })
  try {
    await cp(from, to, { recursive: true, verbatimSymlinks: true, filter: isFileOrFolder })
  } catch (error) {
    throw new Failure(`${from} could not be copied: ${(error as Error).message}`)
  }
}

/** Excludes sockets and pipes, which cannot be copied. */
async function isFileOrFolder(file: string): Promise<boolean> {
  const entry = await lstat(file)
  return entry.isFile() || entry.isDirectory() || entry.isSymbolicLink()
}

/** The names of the files to copy, relative to the folder. */
export async function filesOf(folder: string): Promise<string[]> {
  return (await filesByGit(folder)) ?? (await allFiles(folder))
}

/** The files by git; undefined if the folder is not in a work tree of git, or is ignored in it. */
async function filesByGit(folder: string): Promise<string[] | undefined> {
  const git = (...args: string[]): Promise<string> =>
    run('git', args, { cwd: folder }).then(({ stdout }) => stdout)
  try {
    await git('rev-parse', '--is-inside-work-tree')
  } catch {
    return undefined
  }
  const isIgnored = await git('check-ignore', '--quiet', '.').then(
    () => true,
    () => false,
  )
  if (isIgnored) return undefined
  const listed = await git('ls-files', '-z', '--cached', '--others', '--exclude-standard')
  const names = [...new Set(listed.split('\0').filter((name) => name !== ''))]
  const files = await Promise.all(names.map((name) => filesAt(folder, name)))
  return files.flat().sort()
}

/** A tracked file may have been removed, and a submodule is listed as one name. */
async function filesAt(folder: string, name: string): Promise<string[]> {
  const entry = await lstat(path.join(folder, name)).catch(() => undefined)
  if (entry === undefined) return []
  if (!entry.isDirectory()) return [name]
  const within = await filesOf(path.join(folder, name))
  return within.map((file) => path.join(name, file))
}

async function allFiles(folder: string, below = ''): Promise<string[]> {
  const entries = await readdir(path.join(folder, below), { withFileTypes: true })
  const names = entries.filter(({ name }) => !leftOut.has(name))
  const files = await Promise.all(
    names.map(async (entry) => {
      const name = path.join(below, entry.name)
      return entry.isDirectory() ? allFiles(folder, name) : [name]
    }),
  )
  return files.flat().sort()
}
