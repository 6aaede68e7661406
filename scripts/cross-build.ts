import { existsSync } from 'node:fs'
import { cp, mkdir, readdir, rename } from 'node:fs/promises'
import path from 'node:path'
import { run, withTemporary } from 'power-host'

/** In Node's words, with the prefix of the compiler's programs. */
const prefixes = {
  'linux-ppc64': 'powerpc64le-linux-gnu',
  'linux-x64': 'x86_64-linux-gnu',
} as const

export type Target = keyof typeof prefixes

/** What the package has binaries for. */
export const targets = Object.keys(prefixes) as Target[]

/** What node-gyp makes an addon of. */
export interface Recipe {
  /** In words. */
  what: string
  /** The file that it makes. */
  file: string
  /** The folder with its binding.gyp. */
  folder: string
  /** What in that folder is needed to build it. */
  sources: readonly string[]
  /** For the compiler and the linker, besides the usual ones. */
  flags?: readonly string[]
}

const root = path.resolve(import.meta.dirname, '..')

/** Needed wherever an addon is built: node-addon-api, headers only. */
export const headers = path.join(root, 'node_modules/node-addon-api')

/** The library's own. */
export const libraryAddon: Recipe = {
  what: 'the addon',
  file: 'kvm_ppc_onereg.node',
  folder: root,
  sources: ['binding.gyp', 'native'],
}

/**
 * Builds an addon into the folder `into`, and returns what the compiler said. The same sources, compiler
 * and Node give the same bytes.
 *
 * It is built in a copy: a build/ in the tree is for this machine.
 */
export function crossBuild(recipe: Recipe, target: Target, into: string): Promise<string> {
  const { file, folder, sources } = recipe
  return withTemporary(async (copy) => {
    await mkdir(path.join(copy, 'node_modules'))
    await cp(headers, path.join(copy, 'node_modules/node-addon-api'), { recursive: true })
    for (const name of sources) {
      await cp(path.join(folder, name), path.join(copy, name), { recursive: true })
    }
    const diagnostics = await build(copy, target, recipe.flags ?? [])
    await rename(path.join(copy, 'build/Release', file), path.join(into, file))
    await keepNotes(path.join(copy, 'build'), path.join(into, 'build'))
    return diagnostics
  })
}

/** What gcov has to know, if the flags asked the compiler for it. */
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

/** The compiler's name and version: another one makes other bytes. */
export async function compilerOf(target: Target): Promise<string> {
  const [name = ''] = (await run(`${prefixes[target]}-g++`, ['--version'])).stdout.split('\n')
  return name
}

/** Node-API's headers are the same for all processors. Without any here, node-gyp fetches them. */
function localHeaders(): string[] {
  const prefix = path.resolve(process.execPath, '../..')
  return existsSync(path.join(prefix, 'include/node/node.h')) ? [`--nodedir=${prefix}`] : []
}
