import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { Archive } from '../lib/packages.ts'

// A mirror that is being brought up to date, played by an apt of our own.
const refusal = 'E: Failed to fetch Packages.xz  File has unexpected size. Mirror sync in progress?'
const programs = {
  'apt-get': `case "$*" in
    *indextargets*) echo http://mirror.test/debian/ ;;
    *update) echo '${refusal}' >&2; echo 'E: Some index files failed to download.' >&2; exit 100 ;;
    esac`,
  'apt-cache': `case "$*" in
    *pkgnames*) echo "$KNOWN_PACKAGES" | grep . || true ;;
    *show*) echo 'Depends: linux-image-6.1' ;;
    esac`,
}

let folder: string
let said: string

beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'kvm-ppc-onereg-'))
  for (const [name, script] of Object.entries(programs)) {
    const file = path.join(folder, name)
    writeFileSync(file, `#!/bin/sh\n${script}\n`)
    chmodSync(file, 0o755)
  }
  vi.stubEnv('PATH', `${folder}:${process.env['PATH'] ?? ''}`)
  vi.stubEnv('XDG_CACHE_HOME', path.join(folder, 'cache'))
  vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
    said += String(text)
    return true
  })
})

afterAll(() => {
  vi.unstubAllEnvs()
  vi.restoreAllMocks()
  rmSync(folder, { recursive: true })
})

describe('while apt refuses what the mirror has', () => {
  test('an earlier list of packages does, and the reason is told', async () => {
    said = ''
    vi.stubEnv('KNOWN_PACKAGES', 'libc6')
    const work = Archive.use('sid', (archive) => archive.dependencies('linux-image-powerpc64le'))
    await expect(work).resolves.toEqual(['linux-image-6.1'])
    const reason = refusal.replace('E: ', 'power: ')
    expect(said).toContain(`\n${reason}\npower: going on with the list of an earlier run\n`)
  })

  test('it fails with what apt said if there is no earlier list', async () => {
    vi.stubEnv('KNOWN_PACKAGES', '')
    const work = vi.fn()
    const ended = Archive.use('bookworm', work)
    await expect(ended).rejects.toThrow(refusal)
    await expect(ended).rejects.toThrow(
      /\nNo earlier list is there to go on with: try again later\.$/,
    )
    expect(work).not.toHaveBeenCalled()
  })
})
