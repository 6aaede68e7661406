import { readdir, readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import {
  compilerOf,
  crossBuild,
  headers,
  libraryAddon,
  type Recipe,
  type Target,
} from '../../scripts/cross-build.ts'
import { cached, keyOf } from './cache.ts'
import { note, stage } from './progress.ts'

const crossBuildFile = path.resolve(import.meta.dirname, '../../scripts/cross-build.ts')

/** The library's addon: for the emulated host, and as the package has it. */
export function addon(target: Target = 'linux-ppc64'): Promise<string> {
  return crossBuilt(libraryAddon, target)
}

/** The guest with which the tests look at time from inside. */
export async function guestAddon(): Promise<string> {
  const folder = path.join(import.meta.dirname, 'guest')
  const sources = (await readdir(folder)).filter((name) => /\.(cc|gyp|h)$/.test(name))
  const recipe = { what: 'the test guest', file: 'power_guest.node', folder, sources }
  return crossBuilt(recipe, 'linux-ppc64')
}

async function crossBuilt(recipe: Recipe, target: Target): Promise<string> {
  const { what, file, folder, sources } = recipe
  const key = await keyOf({
    texts: [JSON.stringify({ what, file, sources, target }), await compilerOf(target)],
    files: [
      ...sources.map((name) => path.join(folder, name)),
      path.join(headers, 'package.json'),
      crossBuildFile,
      import.meta.filename,
    ],
  })
  const entry = await cached(`addon-${key}`, async (directory) => {
    await stage(`building ${what} for ${target}`, async () => {
      const diagnostics = await crossBuild(recipe, target, directory)
      await writeFile(path.join(directory, 'warnings'), diagnostics)
    })
  })
  await repeatWarnings(what, path.join(entry, 'warnings'))
  return path.join(entry, file)
}

/** Also when the addon comes from the cache, or the second run would look clean. */
async function repeatWarnings(what: string, file: string): Promise<void> {
  const diagnostics = await readFile(file, 'utf8')
  const count = diagnostics.match(/\bwarning:/g)?.length ?? 0
  if (count > 0) note(`${what} compiles with warnings (${count}):\n${diagnostics.trimEnd()}`)
}
