import { spawnSync } from 'node:child_process'
import {
  cpSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'

const root = path.resolve(import.meta.dirname, '../..')
const parts = [
  'package.json',
  'package-lock.json',
  'tsconfig.json',
  'CHANGELOG.md',
  'lib',
  'man',
  'power-host',
  'scripts',
]

/** A release is tried on a copy of the project, in a repository of its own. */
let copy = ''
beforeAll(() => {
  copy = mkdtempSync(path.join(tmpdir(), 'release-'))
  for (const name of parts)
    cpSync(path.join(root, name), path.join(copy, name), { recursive: true })
  symlinkSync(path.join(root, 'node_modules'), path.join(copy, 'node_modules'))
  writeFileSync(path.join(copy, '.gitignore'), 'node_modules\ndist\n*.tgz\n')
  const changes = '# Changelog\n\n## [Unreleased]\n\n### Added\n\n- A thing.\n'
  writeFileSync(path.join(copy, 'CHANGELOG.md'), changes)
  leaveOutBinaries()
  git('init', '--initial-branch=main')
  git('config', 'user.name', 'A')
  git('config', 'user.email', 'a@example.org')
  git('add', '--all')
  git('commit', '--message', 'All')
})
afterAll(() => {
  rmSync(copy, { recursive: true })
})
beforeEach(() => {
  git('checkout', '--quiet', 'main')
})

/** The binaries in the package have tests of their own, and take a cross compiler and a minute. */
function leaveOutBinaries(): void {
  const file = path.join(copy, 'package.json')
  const json = JSON.parse(readFileSync(file, 'utf8')) as { scripts: Record<string, string> }
  const { prepack, postpack, ...scripts } = json.scripts
  if (prepack === undefined || postpack === undefined)
    throw new Error('they are made elsewhere now')
  scripts['prepare'] = 'npm run build:lib'
  writeFileSync(file, `${JSON.stringify({ ...json, scripts }, null, 2)}\n`)
}

function git(...args: string[]): string {
  const { status, stdout, stderr } = spawnSync('git', args, { cwd: copy, encoding: 'utf8' })
  if (status !== 0) throw new Error(stderr)
  return stdout.trim()
}

function release(...args: string[]) {
  const command = ['--import', 'tsx', 'scripts/release.ts', ...args]
  const env = { ...process.env, NODE_OPTIONS: '' }
  return spawnSync(process.execPath, command, { cwd: copy, encoding: 'utf8', env })
}

describe('npm run release', { timeout: 900_000 }, () => {
  it('refuses what is no version, or none above the present one', () => {
    expect(release('next')).toMatchObject({ status: 2 })
    expect(release()).toMatchObject({ status: 2 })
    expect(release('0.0.1')).toMatchObject({ status: 1, stderr: /is above that/ })
  })

  it('refuses a tree that is not clean, and another branch', () => {
    writeFileSync(path.join(copy, 'stray'), '')
    expect(release('9.0.0')).toMatchObject({ status: 1, stderr: /not clean/ })
    rmSync(path.join(copy, 'stray'))
    git('checkout', '--quiet', '-b', 'other')
    expect(release('9.0.0')).toMatchObject({ status: 1, stderr: /on main, and this is other/ })
  })

  it('does everything but publish', () => {
    const before = git('rev-parse', 'HEAD')
    const { status, stdout, stderr } = release('9.0.0', '--skip-tests')
    expect(status, stderr).toBe(0)
    expect(stdout).toContain('npm publish kvm-ppc-onereg-9.0.0.tgz')
    expect(existsSync(path.join(copy, 'kvm-ppc-onereg-9.0.0.tgz'))).toBe(true)
    expect(git('status', '--porcelain')).toBe('')
    expect(git('rev-parse', 'HEAD~1')).toBe(before)
    expect(git('rev-parse', 'v9.0.0^{commit}')).toBe(git('rev-parse', 'HEAD'))
    const read = (name: string) => readFileSync(path.join(copy, name), 'utf8')
    expect(JSON.parse(read('package.json'))).toMatchObject({ version: '9.0.0' })
    expect(read('CHANGELOG.md')).toMatch(/## \[Unreleased\]\n\n## \[9\.0\.0\] - \d{4}-/)
    expect(read('man/kvm-ppc-onereg.1')).toContain('kvm-ppc-onereg 9.0.0')
    expect(release('9.1.0', '--skip-tests')).toMatchObject({ status: 1, stderr: /no change/ })
  })
})
