import { existsSync } from 'node:fs'
import { cp, mkdir, readdir, stat, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { exclusively, pack, run, stage, type Job } from 'power-host'
import { libraryAddon } from '../../scripts/cross-build.ts'
import { addon, clockAddon, countingAddon, filesOf } from './addon.ts'
import { dependenciesArchive } from './dependencies.ts'
import { qemuArchive } from './qemu-archive.ts'

/**
 * The part of the project that is copied to the emulated host: that for the command line, for the test suite,
 * for the suite with an addon that counts its lines, or for test/power/move, qemu or registers, or bench.
 */
export type Extent = 'command' | 'suite' | 'coverage' | 'move' | 'qemu' | 'registers' | 'bench'

const root = path.resolve(import.meta.dirname, '../..')

/** Where the project is on the emulated host, below its root. */
export const placeOnHost = 'kvm-ppc-onereg'

/** The part of a job for an emulated host that gives it this project. */
export function project(extent: Extent): Pick<Job, 'archives' | 'directory' | 'env'> {
  return {
    archives: (folder) => projectArchives(extent, folder),
    directory: `/${placeOnHost}`,
    env: ownEnvironment(process.env),
  }
}

/** The variables that this project itself reads. */
export function ownEnvironment(env: NodeJS.ProcessEnv): Record<string, string> {
  const entries = Object.entries(env).flatMap(([name, value]) =>
    name.startsWith('KVM_PPC_') && value !== undefined ? [[name, value] as const] : [],
  )
  return Object.fromEntries(entries)
}

/** Our command on the host, under its own name. */
const launcher = `#!/bin/sh\nexec node /${placeOnHost}/dist/cli/main.js "$@"\n`

/** Made from the rest, and here for the processor of this machine. */
const made = new Set(['build', 'coverage', 'dist', 'node_modules', 'prebuilds'])

/** Where the host finds the C program of bench/, from the project's folder. */
export const baselineOnHost = 'build/bench/baseline'

/** Brought by the cross compiler. A test compares the register table with it. */
const kernelHeader = '/usr/powerpc64le-linux-gnu/include/asm/kvm.h'

/** The archives with this project as it is now, in the order in which to unpack them. */
async function projectArchives(extent: Extent, directory: string): Promise<string[]> {
  const forTests = extent === 'suite' || extent === 'coverage' || extent === 'bench'
  const clock = 'test/power/clock/build/Release'
  const dependencies = await dependenciesArchive(root, placeOnHost, { forTests })
  const staged = path.join(directory, 'project')
  const place = path.join(staged, placeOnHost)
  await mkdir(place, { recursive: true })
  const library =
    extent === 'coverage' ? filesOf(libraryAddon, await countingAddon()) : await addon()
  for (const file of library) await copyBuilt(file, path.join(place, 'build/Release'))
  if (forTests) {
    await copyTree(place)
    await copyBuilt(await clockAddon(), path.join(place, clock))
    if (existsSync(kernelHeader)) await cp(kernelHeader, path.join(staged, kernelHeader))
  } else {
    await cp(path.join(root, 'package.json'), path.join(place, 'package.json'))
  }
  if (extent === 'move' || extent === 'qemu' || extent === 'registers') {
    await copyBuilt(await clockAddon(), path.join(place, clock))
    await compilePrograms(`test/power/${extent}`, place)
  }
  if (extent === 'bench') await compileBaseline(path.join(place, baselineOnHost))
  // Two runs at once must not compile into what the other is copying.
  await exclusively('dist', async () => {
    await buildIfOutdated()
    await cp(path.join(root, 'dist'), path.join(place, 'dist'), { recursive: true })
  })
  const bin = path.join(staged, 'usr/local/bin')
  await mkdir(bin, { recursive: true })
  await writeFile(path.join(bin, 'kvm-ppc-onereg'), launcher, { mode: 0o755 })
  const archive = path.join(directory, 'project.cpio.lz4')
  await pack(staged, archive)
  return [...(extent === 'qemu' ? [await qemuArchive()] : []), dependencies, archive]
}

/** Node 20 does not run TypeScript: these programs go there as JavaScript, with the library. */
export async function compilePrograms(folder: string, into: string): Promise<void> {
  const tsc = path.join(root, 'node_modules/typescript/bin/tsc')
  const args = ['--project', `${folder}/tsconfig.json`, '--outDir', into]
  await stage(`compiling ${folder}`, () => run(process.execPath, [tsc, ...args], { cwd: root }))
}

/** The C program beside which bench/ shows the library. */
async function compileBaseline(file: string): Promise<void> {
  const source = path.join(root, 'bench/baseline.c')
  await mkdir(path.dirname(file), { recursive: true })
  await run('powerpc64le-linux-gnu-gcc', ['-O2', '-Wall', '-Wextra', '-static', '-o', file, source])
}

async function copyBuilt(file: string, into: string): Promise<void> {
  await cp(file, path.join(into, path.basename(file)))
}

/** Everything that lies in the tree, but for what is made from it and what is hidden. */
async function copyTree(into: string): Promise<void> {
  const names = await readdir(root)
  for (const name of names.filter((name) => !made.has(name) && !name.startsWith('.'))) {
    await cp(path.join(root, name), path.join(into, name), { recursive: true })
  }
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
