import { existsSync } from 'node:fs'
import { mkdir, readdir, rename } from 'node:fs/promises'
import path from 'node:path'
import { withTemporary } from './cache.ts'
import { Failure } from './failure.ts'
import { pack } from './image.ts'
import { kernelPackages } from './kernel-packages.ts'
import { stage } from './progress.ts'
import { run } from './run.ts'
import { chosenOrigin, fetched, type Ingredient, type Origin } from './sources.ts'
import { tool } from './tools.ts'

/** The package of a kernel, and the suites that have it. */
interface KernelSource {
  /** The versions that are accepted. */
  version: Ingredient['version'] & object
  suites: readonly string[]
  metaPackage: string
}

const plain = 'linux-image-powerpc64le'

/** The kernels by name. The last two are the newest of their suites, so a later version can have their name. */
const kernels = {
  '6.1': { version: { series: '6.1' }, suites: ['bookworm'], metaPackage: plain },
  '6.12': {
    version: { series: '6.12' },
    suites: ['trixie', 'bookworm-backports'],
    metaPackage: plain,
  },
  '7.2': { version: { least: '7.2' }, suites: ['sid', 'forky'], metaPackage: plain },
  '7.2-64k': { version: { least: '7.2' }, suites: ['sid', 'forky'], metaPackage: `${plain}-64k` },
} as const satisfies Record<string, KernelSource>

export type KernelName = keyof typeof kernels

export const kernelNames = Object.keys(kernels) as KernelName[]

export interface Kernel {
  /** The release, as uname(1) shows it. */
  release: string
  image: string
  /** The archive with the kernel's modules for KVM and for a disk. */
  modules: string
}

/** The paths of the modules that /init loads, in that order. */
const modules = ['arch/powerpc/kvm/kvm', 'arch/powerpc/kvm/kvm-hv']

/** The modules for the disk by which files come back. A kernel may have some of them built in. */
const diskModules = [
  'drivers/virtio/virtio',
  'drivers/virtio/virtio_ring',
  'drivers/virtio/virtio_pci_legacy_dev',
  'drivers/virtio/virtio_pci_modern_dev',
  'drivers/virtio/virtio_pci',
  'drivers/block/virtio_blk',
]

/** Returns a kernel, fetched if necessary. A suite in `origin` counts only if it is one that has this kernel. */
export async function kernel(name: KernelName, origin: Origin = chosenOrigin()): Promise<Kernel> {
  const { version, suites, metaPackage }: KernelSource = kernels[name]
  const { suite, ...place } = origin
  const entry = await fetched(
    {
      ...{ name: `kernel-${name}`, what: `Linux ${name}`, architecture: 'ppc64el' },
      ...{ package: metaPackage, version, suites, complete: false },
      recipe: { version: 2, modules, diskModules },
    },
    suite !== undefined && suites.includes(suite) ? origin : place,
    (archive, directory) =>
      withTemporary(async (unpacked) => {
        const packages = await kernelPackages(metaPackage, (meta) => archive.dependencies(meta))
        await archive.unpack(packages, unpacked)
        await stage('packing the modules', () => takeOut(unpacked, directory))
      }),
  )
  const releases = path.join(entry.directory, 'release')
  const [release] = await readdir(releases)
  if (release === undefined) throw new Failure(`no kernel in ${releases}`)
  const file = (name: string): string => path.join(releases, release, name)
  return { release, image: file('vmlinux'), modules: file('modules.cpio.lz4') }
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
    const file = (module: string): string => path.join(all, release, 'kernel', `${module}.ko`)
    const forDisk = diskModules
      .map(file)
      .filter((plain) => existsSync(plain) || existsSync(`${plain}.xz`))
    for (const plain of [...modules.map(file), ...forDisk]) {
      await rename(await unpackedModule(plain), path.join(target, path.basename(plain)))
    }
    await pack(root, path.join(directory, 'modules.cpio.lz4'))
  })
}

/** Finds a file by several paths, since suites have it in different places. */
function present(what: string, files: readonly string[]): string {
  const found = files.find((file) => existsSync(file))
  if (found === undefined) throw new Failure(`the kernel package has no ${what} where we look`)
  return found
}

/** Unpacks a module, since busybox's insmod cannot. */
async function unpackedModule(plain: string): Promise<string> {
  if (existsSync(`${plain}.xz`)) {
    const { command, args } = await tool('xz')
    await run(command, [...args, '--decompress', `${plain}.xz`])
  }
  return present(path.basename(plain), [plain])
}
