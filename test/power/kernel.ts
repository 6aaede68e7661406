import { copyFile, mkdir, readdir, rename } from 'node:fs/promises'
import path from 'node:path'
import { cached, keyOf, withTemporary } from './cache.ts'
import { Failure } from './failure.ts'
import { pack } from './image.ts'
import { Archive, type Suite } from './packages.ts'
import { stage } from './progress.ts'
import { run } from './run.ts'

/** Where a kernel is to be had from. */
export interface KernelSource {
  suite: Suite
  metaPackage: string
}

export const trixieKernel: KernelSource = {
  suite: 'trixie',
  metaPackage: 'linux-image-powerpc64le',
}

export interface Kernel {
  /** As uname(1) shows it. */
  release: string
  image: string
  /** The archive with its KVM modules. */
  modules: string
}

/** In the order in which /init loads them. */
const modules = ['kvm', 'kvm-hv']

export async function kernel(source: KernelSource): Promise<Kernel> {
  const key = await keyOf({ texts: [JSON.stringify(source)], files: [import.meta.filename] })
  const entry = await cached(`kernel-${source.suite}-${key}`, async (directory) => {
    await withTemporary(async (unpacked) => {
      await Archive.use(source.suite, async (archive) => {
        const name = await archive.firstDependency(source.metaPackage)
        await archive.unpack([name], unpacked)
      })
      await stage('packing the KVM modules', () => takeOut(unpacked, directory))
    })
  })
  const [release] = await readdir(path.join(entry, 'release'))
  if (release === undefined) throw new Failure(`no kernel in ${entry}`)
  const file = (name: string): string => path.join(entry, 'release', release, name)
  return { release, image: file('vmlinux'), modules: file('modules.cpio') }
}

async function takeOut(unpacked: string, entry: string): Promise<void> {
  const [release] = await readdir(path.join(unpacked, 'usr/lib/modules'))
  if (release === undefined) throw new Failure('the kernel package has no modules')
  const directory = path.join(entry, 'release', release)
  await mkdir(directory, { recursive: true })
  await rename(path.join(unpacked, `boot/vmlinux-${release}`), path.join(directory, 'vmlinux'))
  await withTemporary(async (root) => {
    const target = path.join(root, 'power/modules')
    await mkdir(target, { recursive: true })
    const kvm = path.join(unpacked, 'usr/lib/modules', release, 'kernel/arch/powerpc/kvm')
    for (const module of modules) {
      const packed = path.join(target, `${module}.ko.xz`)
      await copyFile(path.join(kvm, `${module}.ko.xz`), packed)
      // busybox's insmod does not unpack.
      await run('xz', ['--decompress', packed])
    }
    await pack(root, path.join(directory, 'modules.cpio'))
  })
}
