import { spawnSync } from 'node:child_process'
import type { SpawnSyncOptions } from 'node:child_process'
import { cpSync, readdirSync, rmSync, symlinkSync } from 'node:fs'
import path from 'node:path'

const root = path.resolve(import.meta.dirname, '../..')

/** Made from the rest. */
const made = new Set(['build', 'coverage', 'dist', 'node_modules'])

/**
 * Copies the project as it is in the tree to a folder of build/, and builds it there with these
 * flags for compiler and linker: what is in the copy finds no other addon than the copy's, and the
 * usual build stays what it was.
 *
 * @returns the copy's folder
 */
export function instrumentedCopy(name: string, flags: readonly string[]): string {
  const copy = path.join(root, 'build', name)
  rmSync(copy, { recursive: true, force: true })
  for (const entry of readdirSync(root).filter((name) => !name.startsWith('.') || name === '.ci')) {
    cpSync(path.join(root, entry), path.join(copy, entry), {
      recursive: true,
      filter: (from) => !made.has(path.basename(from)),
    })
  }
  symlinkSync(path.join(root, 'node_modules'), path.join(copy, 'node_modules'))
  const env = withFlags(flags)
  must(process.execPath, ['scripts/build-addon.mjs'], { cwd: copy, env })
  must(process.execPath, [tsc, '--project', 'lib/tsconfig.json'], { cwd: copy })
  must(process.execPath, ['scripts/bundle-lib.mjs'], { cwd: copy })
  return copy
}

const tsc = path.join(root, 'node_modules/typescript/bin/tsc')

/** The environment in which node-gyp builds with these flags. */
export function withFlags(flags: readonly string[]): NodeJS.ProcessEnv {
  const joined = flags.join(' ')
  return { ...process.env, CXXFLAGS: joined, LDFLAGS: joined }
}

/** Runs a program that must succeed. */
export function must(command: string, args: readonly string[], options: SpawnSyncOptions): void {
  const { error, status, signal } = spawnSync(command, args, { stdio: 'inherit', ...options })
  if (error !== undefined) throw error
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: ${status ?? String(signal)}`)
}
