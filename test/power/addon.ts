import { existsSync } from 'node:fs'
import { cp, mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { cached, keyOf, withTemporary } from './cache.ts'
import { note, stage } from './progress.ts'
import { run } from './run.ts'

const cross = 'powerpc64le-linux-gnu'

/** The addon, cross-built in a copy: the tree's own build/ is for this machine. */
export async function addon(projectRoot: string): Promise<string> {
  const headers = path.join(projectRoot, 'node_modules/node-addon-api')
  const key = await keyOf({
    files: [
      path.join(projectRoot, 'native'),
      path.join(projectRoot, 'binding.gyp'),
      path.join(headers, 'package.json'),
      import.meta.filename,
    ],
  })
  const entry = await cached(`addon-${key}`, async (directory) => {
    await stage('building the addon for ppc64le', () =>
      withTemporary(async (copy) => {
        await mkdir(path.join(copy, 'node_modules'))
        await cp(headers, path.join(copy, 'node_modules/node-addon-api'), { recursive: true })
        for (const name of ['native', 'binding.gyp', 'package.json']) {
          await cp(path.join(projectRoot, name), path.join(copy, name), { recursive: true })
        }
        const diagnostics = await build(copy, projectRoot)
        await writeFile(path.join(directory, 'warnings'), diagnostics)
        const built = path.join(copy, 'build/Release/kvm_ppc_onereg.node')
        await rename(built, path.join(directory, 'kvm_ppc_onereg.node'))
      }),
    )
  })
  await repeatWarnings(path.join(entry, 'warnings'))
  return path.join(entry, 'kvm_ppc_onereg.node')
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
async function repeatWarnings(file: string): Promise<void> {
  const diagnostics = await readFile(file, 'utf8')
  const count = diagnostics.match(/\bwarning:/g)?.length ?? 0
  if (count > 0) note(`the addon compiles with warnings (${count}):\n${diagnostics.trimEnd()}`)
}
