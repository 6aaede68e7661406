import { chmod, cp, mkdir, writeFile } from 'node:fs/promises'
import path from 'node:path'
import {
  cached,
  chosenOrigin,
  fetchedProgram,
  keyOf,
  type Origin,
  pack,
  quote,
  stage,
  startOf,
  withTemporary,
} from 'power-host'

const recipe = {
  program: 'qemu-system-ppc64',
  package: 'qemu-system-ppc',
  architecture: 'ppc64el',
  /** The newest first: the others are old where the kernels are new. */
  suites: ['forky', 'sid', 'trixie', 'bookworm-backports', 'bookworm'],
  /** Of its firmware, what a guest needs that brings its own program. */
  data: /^usr\/share\/qemu\/vof\.bin$/,
}

/** Where it lies on the emulated host. It has its own libraries: the userland may be from another suite. */
const place = 'opt/qemu'

/** The archive with a QEMU for the emulated host itself, which the userland can do without. */
export async function qemuArchive(origin: Origin = chosenOrigin()): Promise<string> {
  const { directory } = await fetchedProgram(recipe, origin)
  const key = await keyOf({ texts: [path.basename(directory)], files: [import.meta.filename] })
  const entry = await cached(`qemu-on-host-${key}`, async (archive) => {
    await withTemporary(async (root) => {
      await stage('packing QEMU', async () => {
        await cp(directory, path.join(root, place), { recursive: true, verbatimSymlinks: true })
        const { command, args } = await startOf(directory, recipe.program, `/${place}`)
        const line = [command, ...args, '-L', `/${place}/usr/share/qemu`].map(quote).join(' ')
        const script = path.join(root, 'usr/local/bin', recipe.program)
        await mkdir(path.dirname(script), { recursive: true })
        await writeFile(script, `#!/bin/sh\nexec ${line} "$@"\n`)
        await chmod(script, 0o755)
        await pack(root, path.join(archive, 'archive.cpio.lz4'))
      })
    })
  })
  return path.join(entry, 'archive.cpio.lz4')
}
