import { existsSync } from 'node:fs'
import { chmod, cp, mkdir, readFile, realpath, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { cached, keyOf, withTemporary } from './cache.ts'
import { pack } from './image.ts'
import { note, stage } from './progress.ts'
import { run } from './run.ts'
import { unbuilt, type Locked } from './unbuilt.ts'

const forPower = ['--os=linux', '--cpu=ppc64', '--libc=glibc', '--ignore-scripts']
const quietly = ['--no-audit', '--no-fund', '--no-update-notifier', '--loglevel=error']

/** The lock files that npm knows, the stronger one first. */
const locks = ['npm-shrinkwrap.json', 'package-lock.json']

/** The archive with a folder's dependencies, as npm installs them on a ppc64le machine, at `target` there. */
export async function packageArchives(
  folder: string,
  files: readonly string[],
  target: string,
): Promise<string[]> {
  const lock = locks.find((name) => existsSync(path.join(folder, name)))
  const manifests = files.filter((name) => ['package.json', '.npmrc'].includes(path.basename(name)))
  const needed = [...manifests, ...(lock === undefined ? [] : [lock])]
  const tarballs = await localTarballs(folder, needed)
  const key = await keyOf({
    texts: [lock ?? 'no lock file', target],
    files: [
      ...[...needed, ...tarballs].map((name) => path.join(folder, name)),
      import.meta.filename,
    ],
  })
  const entry = await cached(`packages-${key}`, async (directory) => {
    if (lock === undefined) {
      note('there is no package-lock.json: npm chooses the versions now, and they are kept')
    }
    await stage('installing the dependencies for ppc64', () =>
      withTemporary(async (staged) => {
        // As deep as the folder itself, so that "file:../x.tgz" leads to what is copied here.
        const place = path.join(staged, 'tree', folder)
        await mkdir(place, { recursive: true })
        for (const name of [...needed, ...tarballs]) {
          await cp(path.join(folder, name), path.join(place, name), { recursive: true })
        }
        const command = lock === undefined ? 'install' : 'ci'
        await run('npm', [command, ...forPower, ...quietly], { cwd: place })
        const names = await unbuiltIn(place)
        await writeFile(path.join(directory, 'unbuilt.json'), JSON.stringify(names))
        const root = path.join(staged, 'root')
        await cp(place, path.join(root, target), {
          recursive: true,
          verbatimSymlinks: true,
        })
        await pack(root, path.join(directory, 'archive.cpio.lz4'))
      }),
    )
  })
  const names = JSON.parse(await readFile(path.join(entry, 'unbuilt.json'), 'utf8')) as string[]
  if (names.length > 0) {
    note(`has no binary for ppc64, and is not built here: ${names.join(', ')} (see the README)`)
  }
  return [path.join(entry, 'archive.cpio.lz4')]
}

async function unbuiltIn(place: string): Promise<string[]> {
  const file = path.join(place, 'node_modules/.package-lock.json')
  if (!existsSync(file)) return []
  const { packages } = JSON.parse(await readFile(file, 'utf8')) as {
    packages: Record<string, Locked>
  }
  return unbuilt(place, packages)
}

/** The tarballs that package.json and the lock name by paths, relative to the folder. */
async function localTarballs(folder: string, files: readonly string[]): Promise<string[]> {
  const texts = await Promise.all(
    files
      .filter((name) => !name.includes('/') && name.endsWith('.json'))
      .map((name) => readFile(path.join(folder, name), 'utf8')),
  )
  const names = texts.flatMap((text) =>
    Array.from(text.matchAll(/"file:([^"]+\.(?:tgz|tar\.gz|tar))"/g), ([, name = '']) => name),
  )
  return [...new Set(names)].filter((name) => existsSync(path.resolve(folder, name)))
}

const launcher = (program: string): string => `#!/bin/sh
export npm_config_update_notifier=false npm_config_offline=true
exec node /usr/local/lib/node_modules/npm/bin/${program}-cli.js "$@"
`

/** The archive with the npm of this machine, which is JavaScript and runs on any processor. */
export async function npmArchive(): Promise<string> {
  const npm = await npmFolder()
  const manifest = path.join(npm, 'package.json')
  const key = await keyOf({ files: [manifest, import.meta.filename] })
  const entry = await cached(`npm-${key}`, (directory) =>
    withTemporary(async (root) => {
      const place = path.join(root, 'usr/local/lib/node_modules/npm')
      const documents = new Set(['docs', 'man'].map((name) => path.join(npm, name)))
      await cp(npm, place, { recursive: true, filter: (file) => !documents.has(file) })
      const bin = path.join(root, 'usr/local/bin')
      await mkdir(bin, { recursive: true })
      for (const program of ['npm', 'npx']) {
        await writeFile(path.join(bin, program), launcher(program))
        await chmod(path.join(bin, program), 0o755)
      }
      await pack(root, path.join(directory, 'archive.cpio.lz4'))
    }),
  )
  return path.join(entry, 'archive.cpio.lz4')
}

/** npm and npx tell the programs that they start where they are. */
async function npmFolder(): Promise<string> {
  const program = process.env['npm_execpath']
  if (program !== undefined && /^np[mx]-cli\.js$/.test(path.basename(program))) {
    return path.dirname(path.dirname(await realpath(program)))
  }
  const { stdout } = await run('npm', ['root', '--global'])
  return path.join(stdout.trim(), 'npm')
}
