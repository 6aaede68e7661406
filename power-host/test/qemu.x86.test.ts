import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { qemu } from '../lib/qemu.ts'

let folder: string

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'power-host-qemu-'))
  vi.stubEnv('PATH', `${folder}:${process.env['PATH'] ?? ''}`)
  vi.stubEnv('XDG_CACHE_HOME', folder)
  // A mirror without any suite.
  vi.stubEnv('POWER_HOST_MIRROR', `file:${folder}`)
  vi.spyOn(process.stderr, 'write').mockReturnValue(true)
})

afterEach(() => {
  vi.restoreAllMocks()
  vi.unstubAllEnvs()
  rmSync(folder, { recursive: true })
})

function install(version: string): void {
  const line = `QEMU emulator version ${version} (Debian 1:${version}+dfsg-1)`
  const script = `#!/bin/sh\necho '${line}'\n`
  writeFileSync(path.join(folder, 'qemu-system-ppc64'), script, { mode: 0o755 })
}

test.each([
  ['7.2.22', undefined],
  ['9.1.0', '9.1'],
  ['10.0.2', '9.1'],
])('the installed QEMU %s does if %s is needed', async (version, least) => {
  install(version)
  await expect(qemu(least)).resolves.toMatchObject({ command: 'qemu-system-ppc64', args: [] })
})

test('a newer one is fetched if the installed one is too old, from suites that have one', async () => {
  install('7.2.22')
  const ended = qemu('9.1')
  await expect(ended).rejects.toThrow(/\n {4}trixie: [^]*\n {4}bookworm-backports: /)
  await expect(ended).rejects.not.toThrow(/\n {4}bookworm: /)
}, 300_000)
