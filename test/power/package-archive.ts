import { cp, mkdir } from 'node:fs/promises'
import path from 'node:path'
import { pack, run, stage } from 'power-host'
import { install } from '../package/newcomer.ts'
import { pack as packTarball } from '../package/tarball.ts'
import { compilePrograms, placeOnHost } from './project.ts'

const root = path.resolve(import.meta.dirname, '../..')

export interface PackageOnHost {
  archive: string
  /** What to run there. */
  command: string[]
}

/**
 * The package as it is published, with npm and all that npm needs to install it where there is no
 * network; and no other part of the project than the program that tries it.
 */
export async function packageArchive(directory: string): Promise<PackageOnHost> {
  const staged = path.join(directory, 'staged')
  const place = path.join(staged, placeOnHost)
  await mkdir(place, { recursive: true })
  const tarball = await stage('packing the package', () => packTarball(place))
  await stage('fetching what it depends on', async () => {
    const cache = ['--cache', path.join(place, 'cache')]
    await install(path.join(directory, 'filling-the-cache'), tarball, ['npm', ...cache])
  })
  const { stdout: globalModules } = await run('npm', ['root', '--global'])
  await cp(path.join(globalModules.trim(), 'npm'), path.join(place, 'npm'), { recursive: true })
  for (const name of ['package.json', 'README.md']) {
    await cp(path.join(root, name), path.join(place, name))
  }
  await compilePrograms('test/power/package', place)
  const archive = path.join(directory, 'package.cpio.lz4')
  await pack(staged, archive)
  const given = [path.basename(tarball), 'README.md', 'npm/bin/npm-cli.js', 'cache']
  const onHost = given.map((name) => `/${placeOnHost}/${name}`)
  return { archive, command: ['node', 'test/power/package/install.js', ...onHost] }
}
