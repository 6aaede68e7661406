import { cp, mkdir, readdir } from 'node:fs/promises'
import path from 'node:path'
import { cached, keyOf, withTemporary } from '../../power-host/lib/cache.ts'
import { pack } from '../../power-host/lib/image.ts'
import { Archive } from '../../power-host/lib/packages.ts'
import { stage } from '../../power-host/lib/progress.ts'

/** Of all that comes with QEMU, its program, a firmware, and in {@link libraries} what it is linked with. */
const files = ['usr/bin/qemu-system-ppc64', 'usr/share/qemu/vof.bin']

const libraries = 'usr/lib/powerpc64le-linux-gnu'

/** The archive with a QEMU for the emulated host itself, which the userland can do without. */
export async function qemuArchive(): Promise<string> {
  const key = await keyOf({ files: [import.meta.filename] })
  const entry = await cached(`qemu-${key}`, async (directory) => {
    await withTemporary(async (root) => {
      const [all, kept] = [path.join(root, 'all'), path.join(root, 'kept')]
      await Archive.use('forky', (archive) =>
        archive.unpackWithDependencies(['qemu-system-ppc'], all),
      )
      await stage('packing QEMU', async () => {
        for (const name of [...files, ...(await sharedObjects(all))]) {
          await mkdir(path.dirname(path.join(kept, name)), { recursive: true })
          await cp(path.join(all, name), path.join(kept, name), { verbatimSymlinks: true })
        }
        await pack(kept, path.join(directory, 'archive.cpio'))
      })
    })
  })
  return path.join(entry, 'archive.cpio')
}

async function sharedObjects(root: string): Promise<string[]> {
  const names = await readdir(path.join(root, libraries))
  return names.filter((name) => /\.so(\.|$)/.test(name)).map((name) => path.join(libraries, name))
}
