import path from 'node:path'
import { run } from 'power-host'

const root = path.resolve(import.meta.dirname, '../..')

/** Packs this project as it is now, as a release does, and returns the tarball's path. */
export async function pack(into: string): Promise<string> {
  const { stdout } = await run('npm', ['pack', '--pack-destination', into], { cwd: root })
  const name = stdout.trim().split('\n').at(-1)
  if (name?.endsWith('.tgz') !== true) throw new Error(`npm pack names no tarball:\n${stdout}`)
  return path.join(into, name)
}
