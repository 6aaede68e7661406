import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { expect, test, vi } from 'vitest'
import { setUpApt } from '../lib/apt.ts'

test('where the system has Debian from nowhere, the error says how to name a mirror', async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'power-host-apt-'))
  try {
    // An apt that knows no source of Debian, as that of Ubuntu.
    writeFileSync(path.join(folder, 'apt-get'), '#!/bin/sh\n')
    chmodSync(path.join(folder, 'apt-get'), 0o755)
    vi.stubEnv('PATH', `${folder}:${process.env['PATH'] ?? ''}`)
    vi.stubEnv('XDG_CACHE_HOME', folder)
    const place = { suite: 'trixie', architecture: 'ppc64el', complete: true }
    await expect(setUpApt(path.join(folder, 'apt'), place)).rejects.toThrow(
      /^apt on this machine is not set up for Debian: .*--mirror or in the environment variable POWER_HOST_MIRROR$/,
    )
  } finally {
    vi.unstubAllEnvs()
    rmSync(folder, { recursive: true })
  }
})
