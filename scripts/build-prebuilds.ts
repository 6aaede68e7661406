// Puts the addon for each machine that the package has a binary for into prebuilds/, before `npm pack`.
// `npm pack` removes them afterwards: here the addon is the one that was built last.
import { cp, mkdir, rm } from 'node:fs/promises'
import path from 'node:path'
import { prebuildPrograms, requirePrograms } from 'power-host'
import { addon } from '../test/power/addon.ts'
import { libraryAddon, targets } from './cross-build.ts'

const folder = path.resolve(import.meta.dirname, '../prebuilds')

requirePrograms(prebuildPrograms)
await rm(folder, { recursive: true, force: true })
for (const target of targets) {
  await mkdir(path.join(folder, target), { recursive: true })
  await cp(await addon(target), path.join(folder, target, libraryAddon.file))
}
