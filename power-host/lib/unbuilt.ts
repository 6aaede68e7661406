import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'

/** Part of an entry of npm's lock file. */
export interface Locked {
  hasInstallScript?: boolean
}

const builders = /\b(node-gyp|node-gyp-build|prebuild-install|node-pre-gyp|cmake-js|napi)\b/

/**
 * The names of the installed packages that have native parts, but no binary for ppc64. Install scripts do not
 * run for another processor. Only packages whose script starts a build tool count, since a script may also do
 * something else.
 */
export function unbuilt(project: string, packages: Readonly<Record<string, Locked>>): string[] {
  const names = Object.entries(packages)
    .filter(([, { hasInstallScript }]) => hasInstallScript === true)
    .map(([place]) => path.join(project, place))
    .filter((folder) => isNative(folder) && !hasBinary(folder))
    .map((folder) => folder.slice(folder.lastIndexOf('node_modules/') + 'node_modules/'.length))
  return [...new Set(names)].sort()
}

function isNative(folder: string): boolean {
  if (existsSync(path.join(folder, 'binding.gyp'))) return true
  const { scripts = {} } = JSON.parse(readFileSync(path.join(folder, 'package.json'), 'utf8')) as {
    scripts?: Record<string, string>
  }
  return ['preinstall', 'install', 'postinstall'].some((name) => builders.test(scripts[name] ?? ''))
}

function hasBinary(folder: string): boolean {
  return existsSync(path.join(folder, 'prebuilds/linux-ppc64'))
}
