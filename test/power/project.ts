import { cp, mkdir, readdir, stat } from 'node:fs/promises'
import path from 'node:path'
import { addon } from './addon.ts'
import { cached, exclusively, keyOf, withTemporary } from './cache.ts'
import { pack } from './image.ts'
import { stage } from './progress.ts'
import { run } from './run.ts'

const root = path.resolve(import.meta.dirname, '../..')

/** Where /init looks for the project on the emulated host. */
const placeOnHost = 'kvm-ppc-onereg'

/** The archives with this project as it is now, in the order in which to unpack them. */
export async function projectArchives(directory: string): Promise<string[]> {
  const dependencies = await dependenciesArchive()
  const nativeAddon = await addon(root)
  const staged = path.join(directory, 'project')
  const project = path.join(staged, placeOnHost)
  await mkdir(path.join(project, 'build/Release'), { recursive: true })
  await cp(nativeAddon, path.join(project, 'build/Release', path.basename(nativeAddon)))
  await cp(path.join(root, 'package.json'), path.join(project, 'package.json'))
  // Two runs at once must not compile into what the other is copying.
  await exclusively('dist', async () => {
    await buildIfOutdated()
    await cp(path.join(root, 'dist'), path.join(project, 'dist'), { recursive: true })
  })
  const archive = path.join(directory, 'project.cpio')
  await pack(staged, archive)
  return [dependencies, archive]
}

/** The dependencies as they are installed on a ppc64le machine. */
async function dependenciesArchive(): Promise<string> {
  const lock = path.join(root, 'package-lock.json')
  const entry = await cached(
    `dependencies-${await keyOf({ files: [lock, import.meta.filename] })}`,
    async (directory) => {
      await stage('installing the dependencies for ppc64le', () =>
        withTemporary(async (staged) => {
          const project = path.join(staged, placeOnHost)
          await mkdir(project)
          for (const name of ['package.json', 'package-lock.json']) {
            await cp(path.join(root, name), path.join(project, name))
          }
          const target = ['--os=linux', '--cpu=ppc64', '--libc=glibc']
          await run('npm', ['ci', '--omit=dev', '--ignore-scripts', ...target], { cwd: project })
          await pack(staged, path.join(directory, 'archive.cpio'))
        }),
      )
    },
  )
  return path.join(entry, 'archive.cpio')
}

async function buildIfOutdated(): Promise<void> {
  const [source, built] = await Promise.all(['lib', 'dist'].map(newestChange))
  if (source !== undefined && built !== undefined && source <= built) return
  await stage('building dist/', () => run('npm', ['run', 'build:lib'], { cwd: root }))
}

/** A removed file counts too: it changes its directory. */
async function newestChange(name: string): Promise<number | undefined> {
  const directory = path.join(root, name)
  const names = await readdir(directory, { recursive: true }).catch(() => undefined)
  if (names === undefined) return undefined
  const files = await Promise.all(['', ...names].map((file) => stat(path.join(directory, file))))
  return Math.max(...files.map(({ mtimeMs }) => mtimeMs))
}
