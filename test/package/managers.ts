/** A package manager, and how a user of it installs a package. */
export interface Manager {
  readonly name: string
  /** What is installed to have it, as npm writes it. */
  readonly from: string
  /** Its program within that. */
  readonly program: string
  readonly add: readonly string[]
  /** Installs what the lock file has, and fails where that and the manifest differ. */
  readonly frozen: readonly string[]
  /** Runs all install scripts anew. */
  readonly rebuild?: readonly string[]
  /** The options by which install scripts may run, and by which they may not. */
  readonly scripts: { readonly on: readonly string[]; readonly off: readonly string[] }
  /** How it calls Node, where a program does not find its packages without it. */
  readonly node?: readonly string[]
  readonly environment?: Readonly<Record<string, string>>
}

const ignoreScripts = { on: [], off: ['--ignore-scripts'] }
const npm = {
  program: 'bin/npm-cli.js',
  add: ['install'],
  frozen: ['ci'],
  rebuild: ['rebuild'],
  scripts: ignoreScripts,
}
const yarn4 = {
  from: '@yarnpkg/cli-dist@4.18.1',
  program: 'bin/yarn.js',
  add: ['add'],
  frozen: ['install', '--immutable'],
  rebuild: ['rebuild'],
  scripts: { on: [], off: ['--mode=skip-build'] },
}
const pnpm = {
  add: ['add'],
  frozen: ['install', '--frozen-lockfile'],
  rebuild: ['rebuild'],
  scripts: { on: ['--config.dangerously-allow-all-builds=true'], off: ['--ignore-scripts'] },
}

export const managers: readonly Manager[] = [
  { name: 'npm 10', from: 'npm@10.9.9', ...npm },
  { name: 'npm 11', from: 'npm@11.21.2', ...npm },
  {
    name: 'Yarn 1',
    from: 'yarn@1.22.22',
    program: 'bin/yarn.js',
    add: ['add'],
    frozen: ['install', '--frozen-lockfile'],
    rebuild: ['install', '--force'],
    scripts: ignoreScripts,
  },
  {
    name: 'Yarn 4 with node_modules',
    ...yarn4,
    environment: { YARN_NODE_LINKER: 'node-modules' },
  },
  {
    name: 'Yarn 4 with Plug’n’Play',
    ...yarn4,
    node: ['node'],
    environment: { YARN_NODE_LINKER: 'pnp' },
  },
  { name: 'pnpm 10', from: 'pnpm@10.34.8', program: 'bin/pnpm.cjs', ...pnpm },
  // This one and Bun are not JavaScript. Their packages for one machine need no install script.
  { name: 'pnpm 12', from: '@pnpm/exe.linux-x64@12.21.0', program: 'pnpm', ...pnpm },
  {
    name: 'Bun',
    from: '@oven/bun-linux-x64@1.4.5',
    program: 'bin/bun',
    add: ['add', '--trust'],
    frozen: ['install', '--frozen-lockfile'],
    scripts: ignoreScripts,
  },
]
