import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { expect, test } from 'vitest'
import { unbuilt } from '../lib/unbuilt.ts'

test('names packages that have native parts and no binary for ppc64', () => {
  const project = mkdtempSync(path.join(tmpdir(), 'power-host-'))
  const add = (name: string, install: string, ...files: string[]): void => {
    const folder = path.join(project, 'node_modules', name)
    mkdirSync(folder, { recursive: true })
    writeFileSync(path.join(folder, 'package.json'), JSON.stringify({ scripts: { install } }))
    for (const file of files) mkdirSync(path.join(folder, file), { recursive: true })
  }
  add('@a/gyp', 'node-gyp rebuild', 'binding.gyp')
  add('prebuilt', 'node-gyp-build', 'binding.gyp', 'prebuilds/linux-ppc64')
  add('fetches', 'prebuild-install || node-gyp rebuild')
  add('harmless', 'node install.js')
  add('plain', '')
  try {
    const names = ['@a/gyp', 'prebuilt', 'fetches', 'harmless']
    const scripted = names.map((name) => [`node_modules/${name}`, { hasInstallScript: true }])
    const packages = Object.fromEntries([...scripted, ['node_modules/plain', {}]]) as object
    expect(unbuilt(project, packages as never)).toEqual(['@a/gyp', 'fetches'])
  } finally {
    rmSync(project, { recursive: true })
  }
})
