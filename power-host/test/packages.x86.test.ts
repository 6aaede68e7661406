import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { Archive } from '../lib/packages.ts'

// A mirror that is being brought up to date, played by an apt of our own.
const reason = 'File has unexpected size. Mirror sync in progress?'
const refusal = `E: Failed to fetch Packages.xz  ${reason}`
const place = (suite: string) => ({ suite, architecture: 'ppc64el', complete: true })

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

beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'kvm-ppc-onereg-'))
  for (const [name, script] of Object.entries(programs)) {
    const file = path.join(folder, name)
    writeFileSync(file, `#!/bin/sh\n${script}\n`)
    chmodSync(file, 0o755)
  }
  vi.stubEnv('PATH', `${folder}:${process.env['PATH'] ?? ''}`)
  vi.stubEnv('XDG_CACHE_HOME', path.join(folder, 'cache'))
  vi.spyOn(process.stderr, 'write').mockReturnValue(true)
})

afterAll(() => {
  vi.unstubAllEnvs()
  vi.restoreAllMocks()
  rmSync(folder, { recursive: true })
})

describe('while apt refuses what the mirror has', () => {
  test('an earlier list of packages does, and the reason is told', async () => {
    vi.stubEnv('KNOWN_PACKAGES', 'libc6')
    const work = (archive: Archive) => archive.dependencies('linux-image-powerpc64le')
    await expect(Archive.use(place('sid'), 'earlier', work)).resolves.toEqual(['linux-image-6.1'])
    await expect(Archive.use(place('sid'), 'whole', work)).rejects.toThrow(reason)
  })

  test('it fails with what apt said if there is no earlier list', async () => {
    vi.stubEnv('KNOWN_PACKAGES', '')
    const work = vi.fn()
    await expect(Archive.use(place('bookworm'), 'earlier', work)).rejects.toThrow(reason)
    expect(work).not.toHaveBeenCalled()
  })
})
