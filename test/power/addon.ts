import { existsSync } from 'node:fs'
import { cp, mkdir, readdir, readFile, rename, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { cached, keyOf, withTemporary } from './cache.ts'
import { note, stage } from './progress.ts'
import { run } from './run.ts'

const cross = 'powerpc64le-linux-gnu'

/** What node-gyp makes an addon of. */
interface Recipe {
  /** In words. */
  what: string
  /** The file that it makes. */
  target: string
  /** The folder with its binding.gyp. */
  folder: string
  /** What in that folder is needed to build it. */
  sources: readonly string[]
}

/** The library's addon, built for the emulated host. */
export function addon(projectRoot: string): Promise<string> {
  return crossBuilt(projectRoot, {
    what: 'the addon',
    target: 'kvm_ppc_onereg.node',
    folder: projectRoot,
    sources: ['binding.gyp', 'native'],
  })
}

/** The guest with which the tests look at time from inside. */
export async function guestAddon(projectRoot: string): Promise<string> {
  const folder = path.join(projectRoot, 'test/power/guest')
  const sources = (await readdir(folder)).filter((name) => /\.(cc|gyp|h)$/.test(name))
  return crossBuilt(projectRoot, {
    what: 'the test guest',
    target: 'power_guest.node',
    folder,
    sources,
  })
}

/** Built in a copy: a build/ in the tree is for this machine. */
async function crossBuilt(projectRoot: string, recipe: Recipe): Promise<string> {
  const { what, target, folder, sources } = recipe
  const headers = path.join(projectRoot, 'node_modules/node-addon-api')
  const key = await keyOf({
    texts: [JSON.stringify({ what, target, sources })],
    files: [
      ...sources.map((name) => path.join(folder, name)),
      path.join(headers, 'package.json'),
      import.meta.filename,
    ],
  })
  const entry = await cached(`addon-${key}`, async (directory) => {
    await stage(`building ${what} for ppc64le`, () =>
      withTemporary(async (copy) => {
        await mkdir(path.join(copy, 'node_modules'))
        await cp(headers, path.join(copy, 'node_modules/node-addon-api'), { recursive: true })
        for (const name of sources) {
          await cp(path.join(folder, name), path.join(copy, name), { recursive: true })
        }
        const diagnostics = await build(copy, projectRoot)
        await writeFile(path.join(directory, 'warnings'), diagnostics)
        await rename(path.join(copy, 'build/Release', target), path.join(directory, target))
      }),
    )
  })
  await repeatWarnings(what, path.join(entry, 'warnings'))
  return path.join(entry, target)
}

/** Returns what the compiler said. */
async function build(directory: string, projectRoot: string): Promise<string> {
  const nodeGyp = path.join(projectRoot, 'node_modules/node-gyp/bin/node-gyp.js')
  const args = [nodeGyp, 'rebuild', '--arch=ppc64', '--loglevel=error', ...localHeaders()]
  const env = {
    ...process.env,
    CC: `${cross}-gcc`,
    CXX: `${cross}-g++`,
    AR: `${cross}-ar`,
    LINK: `${cross}-g++`,
  }
  return (await run(process.execPath, args, { cwd: directory, env })).stderr
}

/** Node-API's headers are the same for all processors. Without any here, node-gyp fetches them. */
function localHeaders(): string[] {
  const prefix = path.resolve(process.execPath, '../..')
  return existsSync(path.join(prefix, 'include/node/node.h')) ? [`--nodedir=${prefix}`] : []
}

/** Also when the addon comes from the cache, or the second run would look clean. */
async function repeatWarnings(what: string, file: string): Promise<void> {
  const diagnostics = await readFile(file, 'utf8')
  const count = diagnostics.match(/\bwarning:/g)?.length ?? 0
  if (count > 0) note(`${what} compiles with warnings (${count}):\n${diagnostics.trimEnd()}`)
}
