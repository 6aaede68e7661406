import { mkdir } from 'node:fs/promises'
import path from 'node:path'
import { run } from 'power-host'

/** Installs packages below a folder by this machine's npm, each in a folder of its own, and returns these. */
export async function fetchTools(
  folder: string,
  packages: readonly string[],
): Promise<Map<string, string>> {
  await mkdir(folder, { recursive: true })
  const specs = packages.map((name, index) => `tool-${index}@npm:${name}`)
  const options = ['--ignore-scripts', '--no-audit', '--no-fund', '--prefer-offline']
  await run('npm', ['install', '--prefix', folder, ...options, ...specs])
  const folders = packages.map((_name, index) => path.join(folder, 'node_modules', `tool-${index}`))
  return new Map(packages.map((name, index) => [name, folders[index] ?? '']))
}
