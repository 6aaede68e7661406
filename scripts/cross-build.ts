import { existsSync } from 'node:fs'
import { cp, mkdir, readdir, rename } from 'node:fs/promises'
import path from 'node:path'
import { run, withTemporary } from 'power-host'

/** The prefixes of the cross compilers' programs, by Node's name of the machine. */
const prefixes = {
  'linux-ppc64': 'powerpc64le-linux-gnu',
  'linux-x64': 'x86_64-linux-gnu',
} as const

export type Target = keyof typeof prefixes

/** The machines for which the package has binaries. */
export const targets = Object.keys(prefixes) as Target[]

/** An addon that can be built for another machine. */
export interface Recipe {
  /** A name for messages. */
  what: string
  /** The names of the files that are built. */
  files: (target: Target) => readonly string[]
  /** The folder with its binding.gyp. */
  folder: string
  /** The files of that folder that the build needs. */
  sources: readonly string[]
  /** Additional flags for the compiler and the linker. */
  flags?: readonly string[]
}

const root = path.resolve(import.meta.dirname, '..')

/** Needed wherever an addon is built: node-addon-api, headers only. */
export const headers = path.join(root, 'node_modules/node-addon-api')

/** The file of the library's addon. */
export const libraryFile = 'kvm_ppc_onereg.node'

/** The library's addon, and for POWER the guest of the command verify. */
export const libraryAddon: Recipe = {
  what: 'the addon',
  files: (target) => [libraryFile, ...(target === 'linux-ppc64' ? ['kvm_ppc_guest.node'] : [])],
  folder: root,
  sources: ['binding.gyp', 'native'],
}

/**
 * Builds an addon's files into the folder `into`, and returns the compiler's output. The same sources, compiler
 * and Node give the same bytes.
 *
 * It is built in a copy, because the build/ of the tree is for this machine.
 */
export function crossBuild(recipe: Recipe, target: Target, into: string): Promise<string> {
  const { files, folder, sources } = recipe
  return withTemporary(async (copy) => {
    await mkdir(path.join(copy, 'node_modules'))
    await cp(headers, path.join(copy, 'node_modules/node-addon-api'), { recursive: true })
    for (const name of sources) {
      await cp(path.join(folder, name), path.join(copy, name), { recursive: true })
    }
    const diagnostics = await build(copy, target, recipe.flags ?? [])
    for (const file of files(target)) {
      await rename(path.join(copy, 'build/Release', file), path.join(into, file))
    }
    await keepNotes(path.join(copy, 'build'), path.join(into, 'build'))
    return diagnostics
  })
}

/** The files that gcov needs, if the flags made the compiler write them. */
async function keepNotes(build: string, into: string): Promise<void> {
  const files = await readdir(build, { recursive: true })
  for (const file of files.filter((file) => file.endsWith('.gcno'))) {
    await mkdir(path.dirname(path.join(into, file)), { recursive: true })
    await rename(path.join(build, file), path.join(into, file))
  }
}

async function build(copy: string, target: Target, more: readonly string[]): Promise<string> {
  const nodeGyp = path.join(root, 'node_modules/node-gyp/bin/node-gyp.js')
  const [, arch = ''] = target.split('-')
  const args = [nodeGyp, 'rebuild', `--arch=${arch}`, '--loglevel=error', ...localHeaders()]
  // Flags that instrument the addon bring libraries of their own, which need the C library.
  if (more.length === 0) args.push('--libc=any')
  const prefix = prefixes[target]
  const flags = [`-ffile-prefix-map=${copy}=.`, ...more].join(' ')
  const env = {
    ...process.env,
    CC: `${prefix}-gcc`,
    CXX: `${prefix}-g++`,
    AR: `${prefix}-ar`,
    LINK: `${prefix}-g++`,
    CFLAGS: flags,
    CXXFLAGS: flags,
    CPPFLAGS: '',
    LDFLAGS: [
      // C++'s library goes into it, as far as it is used: that of an old system may be too old.
      ...['-static-libstdc++', '-Wl,--gc-sections', '-Wl,--exclude-libs,ALL'],
      ...['-Wl,--strip-all', '-Wl,--build-id=sha1', ...more],
    ].join(' '),
  }
  return (await run(process.execPath, args, { cwd: copy, env })).stderr
}

/** The compiler's name and version, on which the bytes of the addon depend. */
export async function compilerOf(target: Target): Promise<string> {
  const [name = ''] = (await run(`${prefixes[target]}-g++`, ['--version'])).stdout.split('\n')
  return name
}

/** Node-API's headers are the same for all processors. Without any here, node-gyp fetches them. */
function localHeaders(): string[] {
  const prefix = path.resolve(process.execPath, '../..')
  return existsSync(path.join(prefix, 'include/node/node.h')) ? [`--nodedir=${prefix}`] : []
}
