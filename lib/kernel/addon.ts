import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { endianness } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { checkWord } from '../checks.ts'
import { unavailable } from '../errors.ts'

/**
 * Calls without arguments, which are the fastest. Their arguments and results are in the four words of memory
 * that {@link Addon.bindCalls} got: word 0 the timebase (for `clockState` the most by which the wall clock can
 * be wrong, in µs), 1 the time of day, 2 the half-width of the bracket of these two, and 3 the index of the
 * batch to call. They return undefined for 0, another result, or `-errno`.
 */
export interface BoundCalls {
  readonly getOneRegs: () => number | undefined
  readonly setOneRegs: () => number | undefined
  readonly timebase: () => number | undefined
  readonly sample: () => number | undefined
  readonly clockState: () => number | undefined
}

/** The exports of native/binding.cc. */
export interface Addon {
  open(path: string): number
  close(fd: number): number
  fileId(fd: number): number
  checkExtension(fd: number, extension: number): number
  createVm(fd: number, type: number): number
  createVcpu(fd: number, id: number): number
  getOneReg(fd: number, id: bigint, value: Uint8Array): number
  setOneReg(fd: number, id: bigint, value: Uint8Array): number
  bindBatch(memory: Uint8Array): { readonly index: number }
  getOneRegsAsync(memory: Uint8Array): Promise<number>
  setOneRegsAsync(memory: Uint8Array): Promise<number>
  bindCalls(words: BigUint64Array): BoundCalls
}

/** The values of the environment variable KVM_PPC_ADDON: `'built'` excludes the package's own binaries. */
const choices = ['auto', 'built'] as const

/** The machine that a binary of the addon runs on. */
export interface Machine {
  readonly platform: string
  readonly arch: string
  readonly endianness: 'BE' | 'LE'
}

/**
 * The folders in which the addon may be, in the order of the search: first the package's own binary, then
 * that of `npm run build:addon`.
 *
 * The byte order counts because Node calls AIX and big-endian Linux ppc64 too, while the package's binaries
 * are little-endian.
 */
export function addonFolders(root: string, machine: Machine, choice: string): string[] {
  const built = [path.join(root, 'build', 'Release'), path.join(root, 'build', 'Debug')]
  if (choice === 'built' || machine.endianness === 'BE') return built
  return [path.join(root, 'prebuilds', `${machine.platform}-${machine.arch}`), ...built]
}

/** Loads the library's addon: see {@link loadBinary}. */
export function loadAddon(root = packageRoot()): Addon {
  return loadBinary('kvm_ppc_onereg.node', root) as Addon
}

/**
 * Loads one of the package's addons.
 *
 * @param file the name of its file
 * @param root the folder of the package
 * @throws OneRegError ERR_KVM_UNAVAILABLE with the paths tried and the command that builds it
 * @throws TypeError ERR_INVALID_ARG_VALUE if KVM_PPC_ADDON has an unknown value
 */
export function loadBinary(file: string, root = packageRoot()): unknown {
  const fromEnvironment = process.env['KVM_PPC_ADDON'] ?? ''
  const choice = checkWord('KVM_PPC_ADDON', fromEnvironment || 'auto', choices)
  const { platform, arch } = process
  const machine = { platform, arch, endianness: endianness() }
  const tried: string[] = []
  let cause: unknown
  for (const folder of addonFolders(root, machine, choice)) {
    const found = path.join(folder, file)
    try {
      return requireAddon(file, root, folder)
    } catch (error) {
      const isThere = existsSync(found)
      if (isThere) cause ??= error
      const [reason = ''] = String(error).split('\n')
      tried.push(`${found} (${isThere ? reason : 'not there'})`)
    }
  }
  const isForbidden = (cause as { code?: unknown } | undefined)?.code === 'ERR_DLOPEN_DISABLED'
  const order = machine.endianness === 'BE' ? ', big-endian' : ''
  throw unavailable(
    'no-addon',
    `No native addon could be loaded for ${platform}-${arch}${order}. Tried ${tried.join(', ')}. ` +
      (isForbidden
        ? 'Node may not load addons: run it without --no-addons, and if with --permission, also with --allow-addons'
        : `Build it in ${root} with: npm run build:addon`),
    cause,
  )
}

/**
 * The package's folder: the nearest one above this file that has its package.json. It is searched for
 * because lib/ and dist/ have different depths, and only when an addon is loaded, because this file may be
 * a part of a bundle or of a single executable. These have no such folder, and where they are CommonJS
 * bundlers leave no `import.meta.url` either. webpack leaves the one of the machine that made the bundle.
 *
 * @throws OneRegError ERR_KVM_UNAVAILABLE in a bundle or in a single executable
 */
function packageRoot(): string {
  const url = import.meta.url as string | undefined
  let folder = url?.startsWith('file:') === true ? fileURLToPath(url) : '/'
  while (folder !== path.dirname(folder)) {
    folder = path.dirname(folder)
    if (isPackage(folder)) return folder
  }
  throw unavailable(
    'no-addon',
    'The native addon is not here, because kvm-ppc-onereg is a part of a bundle or of a single executable ' +
      `(${process.argv[1] ?? process.execPath}), which has its JavaScript only. Leave kvm-ppc-onereg out of the ` +
      'bundle (external), and install it beside the program. docs/installing.md shows how',
  )
}

function isPackage(folder: string): boolean {
  try {
    const manifest: unknown = JSON.parse(readFileSync(path.join(folder, 'package.json'), 'utf8'))
    return (manifest as { name?: unknown } | null)?.name === 'kvm-ppc-onereg'
  } catch {
    return false
  }
}

/** Loads from one folder. Given several, `bindings` would stop at the first binary that does not load. */
function requireAddon(file: string, root: string, folder: string): unknown {
  // Required here, so that a program that uses only the model does not need `bindings`.
  const bindings = createRequire(import.meta.url)('bindings') as (options: object) => unknown
  return bindings({ bindings: file, module_root: root, try: [[folder, 'bindings']] })
}
