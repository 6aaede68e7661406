import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { addonFolders, loadAddon } from '../../lib/kernel/addon.ts'
import type { Addon } from '../../lib/kernel/addon.ts'
import { errorOf } from '../support/error-of.ts'
import { addonLacks, describeUnless } from '../support/lacking.ts'

const file = 'kvm_ppc_onereg.node'
const prebuilt = `prebuilds/${process.platform}-${process.arch}`

describe('the folders of the addon', () => {
  const power = { platform: 'linux', arch: 'ppc64', endianness: 'LE' } as const
  const built = ['/p/build/Release', '/p/build/Debug']

  it('begin with the package’s own, by Node’s names for the machine', () => {
    expect(addonFolders('/p', power, 'auto')).toEqual(['/p/prebuilds/linux-ppc64', ...built])
  })

  it('are those of what was built here where that is asked for', () => {
    expect(addonFolders('/p', power, 'built')).toEqual(built)
  })

  it('do not have a little-endian binary for a big-endian machine', () => {
    expect(addonFolders('/p', { ...power, endianness: 'BE' }, 'auto')).toEqual(built)
  })
})

describeUnless(addonLacks, 'loading the addon', () => {
  let root: string
  let original: string

  beforeEach(() => {
    root = mkdtempSync(path.join(tmpdir(), 'finding-addon-'))
    vi.stubEnv('KVM_PPC_ADDON', 'built')
    original = pathOf(loadAddon())
    vi.stubEnv('KVM_PPC_ADDON', undefined)
  })

  afterEach(() => {
    vi.unstubAllEnvs()
    rmSync(root, { recursive: true })
  })

  /** `bindings` adds where it found it. */
  function pathOf(addon: Addon): string {
    return Reflect.get(addon, 'path') as string
  }

  function put(folder: string): string {
    const target = path.join(root, folder, file)
    cpSync(original, target)
    return target
  }

  function putBroken(folder: string): void {
    mkdirSync(path.join(root, folder), { recursive: true })
    writeFileSync(path.join(root, folder, file), 'for another machine')
  }

  it('takes the package’s own before one that was built here', () => {
    put('build/Release')
    const own = put(prebuilt)
    expect(pathOf(loadAddon(root))).toBe(own)
  })

  it('takes one that was built here where KVM_PPC_ADDON asks for it', () => {
    put(prebuilt)
    const built = put('build/Release')
    vi.stubEnv('KVM_PPC_ADDON', 'built')
    expect(pathOf(loadAddon(root))).toBe(built)
  })

  it('goes on after one that does not load', () => {
    putBroken(prebuilt)
    putBroken('build/Release')
    const debug = put('build/Debug')
    expect(pathOf(loadAddon(root))).toBe(debug)
  })

  it('fails with every path, why it was not that one, and the command that builds one', () => {
    putBroken(prebuilt)
    const error = errorOf(() => loadAddon(root))
    expect(error).toMatchObject({
      code: 'ERR_KVM_UNAVAILABLE',
      cause: { code: 'ERR_DLOPEN_FAILED' },
    })
    const { message } = error as Error
    expect(message).toContain(`for ${process.platform}-${process.arch}. `)
    expect(message).toContain(`${path.join(root, prebuilt, file)} (Error: `)
    for (const folder of ['build/Release', 'build/Debug']) {
      expect(message).toContain(`${path.join(root, folder, file)} (not there)`)
    }
    expect(message).toContain(`Build it in ${root} with: npm run build:addon`)
  })

  it('refuses a KVM_PPC_ADDON that it does not know', () => {
    vi.stubEnv('KVM_PPC_ADDON', 'prebuilt')
    const error = errorOf(() => loadAddon(root))
    expect(error).toMatchObject({ code: 'ERR_INVALID_ARG_VALUE', name: 'TypeError' })
    expect((error as Error).message).toContain("'auto', 'built'")
  })
})
