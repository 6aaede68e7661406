// Checks the sources: npm run check for formatting, types and lint, or one of the parts by its name.
import { spawnSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import path from 'node:path'

const root = path.resolve(import.meta.dirname, '..')

function run(program: string, ...args: string[]): boolean {
  const { status, error } = spawnSync(program, args, { cwd: root, stdio: 'inherit' })
  if (error !== undefined) console.error(`check: ${program} cannot be started: ${error.message}`)
  return status === 0
}

function node(script: string, ...args: string[]): boolean {
  return run(process.execPath, path.join('node_modules', script), ...args)
}

/** Runs a script of this project, which may be TypeScript. */
function ours(script: string, ...args: string[]): boolean {
  return run(process.execPath, '--import', 'tsx', `scripts/${script}`, ...args)
}

const folders = ['native', 'native/guest', 'test/instrumented/planted', 'test/power/clock']
const cFiles = folders.flatMap((folder) =>
  readdirSync(path.join(root, folder))
    .filter((name) => /\.(cc|h)$/.test(name))
    .map((name) => path.join(folder, name)),
)

const sources: Readonly<Record<string, () => boolean>> = {
  format: () => {
    const prettier = node('prettier/bin/prettier.cjs', '--check', '.')
    return run('clang-format', '--dry-run', '--Werror', ...cFiles) && prettier
  },
  types: () => node('typescript/bin/tsc'),
  lint: () => node('eslint/bin/eslint.js', '.'),
  circles: () =>
    node(
      'dependency-cruiser/bin/dependency-cruise.mjs',
      '--config',
      '.dependency-cruiser.js',
      'lib',
    ),
}

const others: Readonly<Record<string, (...args: string[]) => boolean>> = {
  registers: (...args) => ours('compare-registers.ts', ...args),
  supply: () => ours('check-supply-chain.ts'),
}

const [name, ...args] = process.argv.slice(2)
if (name === undefined) {
  process.exitCode = Object.values(sources).every((check) => check()) ? 0 : 1
} else {
  const check = { ...sources, ...others }[name]
  if (check === undefined) {
    const names = Object.keys({ ...sources, ...others })
    console.error(`There is no check "${name}": it is one of ${names.join(', ')}.`)
  }
  process.exitCode = check === undefined ? 2 : check(...args) ? 0 : 1
}
