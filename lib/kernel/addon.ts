import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { endianness } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { checkWord } from '../checks.ts'
import { unavailable } from '../errors.ts'

/**
 * Calls without arguments, for which all is in four words of memory: what they leave there is the
 * timebase, or the timebase, the time of day and the half-width of their bracket, or the most that the
 * wall clock can be wrong by, in µs; and what they find there is the index of the batch. They return
 * undefined for 0, or another result, or `-errno`.
 */
export interface BoundCalls {
  readonly getOneRegs: () => number | undefined
  readonly setOneRegs: () => number | undefined
  readonly timebase: () => number | undefined
  readonly sample: () => number | undefined
  readonly clockState: () => number | undefined
}

/** What native/binding.cc exports. */
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

const file = 'kvm_ppc_onereg.node'

/** Which addon the environment variable KVM_PPC_ADDON asks for: `'built'` is the one built here. */
const choices = ['auto', 'built'] as const

/** What a binary of the addon is for. */
export interface Machine {
  readonly platform: string
  readonly arch: string
  readonly endianness: 'BE' | 'LE'
}

/**
 * Where the addon may be, in the order in which to look: the package's own binary, and what
 * `npm run build:addon` makes.
 *
 * To Node, AIX and Linux of either byte order are ppc64; the package's binaries are little-endian.
 */
export function addonFolders(root: string, machine: Machine, choice: string): string[] {
  const built = [path.join(root, 'build', 'Release'), path.join(root, 'build', 'Debug')]
  if (choice === 'built' || machine.endianness === 'BE') return built
  return [path.join(root, 'prebuilds', `${machine.platform}-${machine.arch}`), ...built]
}

/**
 * Loads the addon.
 *
 * @param root of the package
 * @throws OneRegError ERR_KVM_UNAVAILABLE with the paths tried and the command that builds it
 * @throws TypeError ERR_INVALID_ARG_VALUE if KVM_PPC_ADDON says something unknown
 */
export function loadAddon(root = packageRoot()): Addon {
  const fromEnvironment = process.env['KVM_PPC_ADDON'] ?? ''
  const choice = checkWord('KVM_PPC_ADDON', fromEnvironment || 'auto', choices)
  const { platform, arch } = process
  const machine = { platform, arch, endianness: endianness() }
  const tried: string[] = []
  let cause: unknown
  for (const folder of addonFolders(root, machine, choice)) {
    const found = path.join(folder, file)
    try {
      return requireAddon(root, folder)
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
    `No native addon could be loaded for ${platform}-${arch}${order}. Tried ${tried.join(', ')}. ` +
      (isForbidden
        ? 'Node was told to load none: --permission needs --allow-addons beside it, and --no-addons must go'
        : `Build it in ${root} with: npm run build:addon`),
    cause,
  )
}

/**
 * The nearest folder above this file that has a package.json: the source lies deeper in its package than
 * what is built of it. A function, not a constant: an application that uses the model alone may have
 * bundled this file into something where there is no such folder.
 */
function packageRoot(): string {
  const here = path.dirname(fileURLToPath(import.meta.url))
  let folder = here
  while (!existsSync(path.join(folder, 'package.json'))) {
    const parent = path.dirname(folder)
    if (parent === folder) return path.dirname(here)
    folder = parent
  }
  return folder
}

/** From one folder: of several, `bindings` does not go on after one whose binary does not load. */
function requireAddon(root: string, folder: string): Addon {
  // Not imported above: whoever uses the model alone does without it.
  const bindings = createRequire(import.meta.url)('bindings') as (options: object) => unknown
  return bindings({ bindings: file, module_root: root, try: [[folder, 'bindings']] }) as Addon
}
