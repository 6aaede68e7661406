import { existsSync } from 'node:fs'
import { mkdir, readdir, rename } from 'node:fs/promises'
import path from 'node:path'
import { cached, keyOf, withTemporary } from './cache.ts'
import { Failure } from './failure.ts'
import { pack } from './image.ts'
import { kernelPackages } from './kernel-packages.ts'
import { Archive, type Suite } from './packages.ts'
import { stage } from './progress.ts'
import { run } from './run.ts'

/** Where a kernel is to be had from. */
interface KernelSource {
  suite: Suite
  metaPackage: string
}

/** By the versions that the suites had in 2026; sid's changes all the time. */
const kernels = {
  '6.1': { suite: 'bookworm', metaPackage: 'linux-image-powerpc64le' },
  '6.12': { suite: 'bookworm-backports', metaPackage: 'linux-image-powerpc64le' },
  '7.2': { suite: 'sid', metaPackage: 'linux-image-powerpc64le' },
  '7.2-64k': { suite: 'sid', metaPackage: 'linux-image-powerpc64le-64k' },
} as const satisfies Record<string, KernelSource>

export type KernelName = keyof typeof kernels

export const kernelNames = Object.keys(kernels) as KernelName[]

export interface Kernel {
  /** As uname(1) shows it. */
  release: string
  image: string
  /** The archive with its KVM modules. */
  modules: string
}

/** In the order in which /init loads them. */
const modules = ['kvm', 'kvm-hv']

export async function kernel(name: KernelName): Promise<Kernel> {
  const source = kernels[name]
  const names = path.join(import.meta.dirname, 'kernel-packages.ts')
  const key = await keyOf({
    texts: [JSON.stringify(source)],
    files: [import.meta.filename, names],
  })
  const entry = await cached(`kernel-${name}-${key}`, async (directory) => {
    await withTemporary(async (unpacked) => {
      await Archive.use(source.suite, async (archive) => {
        const packages = await kernelPackages(source.metaPackage, (meta) =>
          archive.dependencies(meta),
        )
        await archive.unpack(packages, unpacked)
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
  const under = (...names: string[]): string => path.join(unpacked, ...names)
  const all = present('modules', [under('usr/lib/modules'), under('lib/modules')])
  const [release] = await readdir(all)
  if (release === undefined) throw new Failure('the kernel package has no modules')
  const directory = path.join(entry, 'release', release)
  await mkdir(directory, { recursive: true })
  const images = [under(`boot/vmlinux-${release}`), path.join(all, release, 'vmlinuz')]
  await rename(present('image', images), path.join(directory, 'vmlinux'))
  await withTemporary(async (root) => {
    const target = path.join(root, 'power/modules')
    await mkdir(target, { recursive: true })
    for (const module of modules) {
      const plain = path.join(all, release, 'kernel/arch/powerpc/kvm', `${module}.ko`)
      await rename(await unpackedModule(plain), path.join(target, `${module}.ko`))
    }
    await pack(root, path.join(directory, 'modules.cpio'))
  })
}

/** Suites differ in where they put things. */
function present(what: string, files: readonly string[]): string {
  const found = files.find((file) => existsSync(file))
  if (found === undefined) throw new Failure(`the kernel package has no ${what} where we look`)
  return found
}

/** busybox's insmod does not unpack. */
async function unpackedModule(plain: string): Promise<string> {
  if (existsSync(`${plain}.xz`)) await run('xz', ['--decompress', `${plain}.xz`])
  return present(path.basename(plain), [plain])
}
