import { readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { cached, keyOf, note, stage } from 'power-host'
import {
  compilerOf,
  crossBuild,
  headers,
  libraryAddon,
  type Recipe,
  type Target,
} from '../../scripts/cross-build.ts'
import { COUNTING_FLAGS } from '../instrumented/counting.ts'

const crossBuildFile = path.resolve(import.meta.dirname, '../../scripts/cross-build.ts')

/** The files of the library's addon: for the emulated host, and as the package has it. */
export async function addon(target: Target = 'linux-ppc64'): Promise<string[]> {
  return filesOf(libraryAddon, await crossBuilt(libraryAddon, target), target)
}

/** The folder with one that counts what is run of it, and in build/ what gcov needs to read the counts. */
export function countingAddon(): Promise<string> {
  const recipe = { ...libraryAddon, what: 'the addon that counts', flags: COUNTING_FLAGS }
  return crossBuilt(recipe, 'linux-ppc64')
}

/** The addon with which tests set the host's clock. */
export async function clockAddon(): Promise<string> {
  const folder = path.join(import.meta.dirname, 'clock')
  const files = ['power_clock.node']
  const sources = ['binding.gyp', 'clock.cc']
  const recipe = { what: "the tests' clock", files: () => files, folder, sources }
  return path.join(await crossBuilt(recipe, 'linux-ppc64'), ...files)
}

export function filesOf(recipe: Recipe, folder: string, target: Target = 'linux-ppc64'): string[] {
  return recipe.files(target).map((file) => path.join(folder, file))
}

async function crossBuilt(recipe: Recipe, target: Target): Promise<string> {
  const { what, folder, sources, flags } = recipe
  const files = recipe.files(target)
  const key = await keyOf({
    texts: [JSON.stringify({ what, files, sources, flags, target }), await compilerOf(target)],
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
  return entry
}

/** Also when the addon comes from the cache, or the second run would look clean. */
async function repeatWarnings(what: string, file: string): Promise<void> {
  const diagnostics = await readFile(file, 'utf8')
  const count = diagnostics.match(/\bwarning:/g)?.length ?? 0
  if (count > 0) note(`${what} compiles with warnings (${count}):\n${diagnostics.trimEnd()}`)
}
