import { mkdir, rm, symlink, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { withTemporary } from './cache.ts'
import { pack } from './image.ts'
import { stage } from './progress.ts'
import { chosenOrigin, fetched, type Origin } from './sources.ts'

const packages = ['nodejs', 'busybox-static', 'libstdc++6', 'strace']

/** The paths that are left out, because Node does not need them: most of 150 MB, which would take time to boot. */
const unused = [
  'usr/lib/powerpc64le-linux-gnu/gconv',
  'usr/share/bug',
  'usr/share/doc',
  'usr/share/lintian',
  'usr/share/locale',
  'usr/share/man',
  'usr/share/nodejs/@types',
  'usr/share/nodejs/corepack',
]

/** The suites to try, the one with the oldest supported Node first. */
const suites = ['trixie', 'forky', 'sid']

/** The archive with a Debian suite's Node, busybox and strace; the same for every kernel. */
export async function userlandArchive(origin: Origin = chosenOrigin()): Promise<string> {
  const entry = await fetched(
    {
      ...{ name: 'userland', what: 'the userland', architecture: 'ppc64el' },
      ...{ package: 'nodejs', version: { least: '20.19' }, suites, complete: true },
      recipe: { version: 2, packages, unused },
    },
    origin,
    (archive, directory) =>
      withTemporary(async (root) => {
        await archive.unpackWithDependencies(packages, root)
        await stage('packing the userland', async () => {
          await finish(root)
          await pack(root, path.join(directory, 'archive.cpio.lz4'))
        })
      }),
  )
  return path.join(entry.directory, 'archive.cpio.lz4')
}

/** Makes the links and files that installing the packages would make on a Debian system. */
async function finish(root: string): Promise<void> {
  for (const name of unused) await rm(path.join(root, name), { recursive: true, force: true })
  for (const name of ['bin', 'sbin', 'lib', 'lib64']) {
    await mkdir(path.join(root, 'usr', name), { recursive: true })
    await symlink(`usr/${name}`, path.join(root, name))
  }
  for (const name of ['dev', 'proc', 'root', 'sys', 'tmp', 'usr/local/bin']) {
    await mkdir(path.join(root, name), { recursive: true })
  }
  // Needed by child_process.exec, os.userInfo and others.
  await symlink('busybox', path.join(root, 'usr/bin/sh'))
  await mkdir(path.join(root, 'etc'), { recursive: true })
  await writeFile(path.join(root, 'etc/passwd'), 'root:x:0:0:root:/root:/bin/sh\n')
  await writeFile(path.join(root, 'etc/group'), 'root:x:0:\n')
  await writeFile(path.join(root, 'etc/hosts'), '127.0.0.1 localhost\n')
}
