// Builds the addon for each machine that the package supports into prebuilds/, before `npm pack`, which
// removes the folder afterwards, so that a clone always loads the addon that was built in it.
import { cp, mkdir, rm } from 'node:fs/promises'
import path from 'node:path'
import { prebuildPrograms, requirePrograms } from 'power-host'
import { addon } from '../test/power/addon.ts'
import { targets } from './cross-build.ts'

const folder = path.resolve(import.meta.dirname, '../prebuilds')

requirePrograms(prebuildPrograms)
await rm(folder, { recursive: true, force: true })
for (const target of targets) {
  await mkdir(path.join(folder, target), { recursive: true })
  for (const file of await addon(target)) {
    await cp(file, path.join(folder, target, path.basename(file)))
  }
}
