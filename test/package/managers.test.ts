import { copyFile, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { run } from 'power-host'
import { managers, type Manager } from './managers.ts'
import { example, moved, openKvm, reachedTheKernel } from './newcomer.ts'
import { startRegistry, type Registry } from './registry.ts'
import { fetchTools } from './tools.ts'

const root = path.resolve(import.meta.dirname, '../..')
const tarball = inject('tarball')
const dependencies = ['bindings', 'file-uri-to-path', 'commander']

/** The README's example, and then a call of the kernel through the binary in the package. */
const program = [
  await example(path.join(root, 'README.md')),
  "import { openHost } from 'kvm-ppc-onereg'",
  openKvm,
].join('\n')

let folder: string
let tools: Map<string, string>
let registry: Registry

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'managers-'))
  registry = await startRegistry()
  const token = `--${registry.address.replace('http:', '')}:_authToken=none`
  const options = ['--ignore-scripts', '--registry', registry.address, token]
  for (const name of [
    tarball,
    ...dependencies.map((name) => path.join(root, 'node_modules', name)),
  ]) {
    await run('npm', ['publish', ...options, name])
  }
  tools = await fetchTools(path.join(folder, 'tools'), [
    ...new Set(managers.map(({ from }) => from)),
  ])
}, 300_000)

afterAll(async () => {
  registry.close()
  await rm(folder, { recursive: true })
})

const cases = managers.flatMap((manager) => [
  { manager, name: manager.name, source: 'the registry', spec: 'kvm-ppc-onereg' },
  { manager, name: manager.name, source: 'the tarball', spec: 'kvm-ppc-onereg@file:./package.tgz' },
])

/** An application of somebody who has this manager, no settings, and the local registry alone. */
class Application {
  private readonly manager: Manager
  private readonly home: string

  private constructor(manager: Manager, home: string) {
    this.manager = manager
    this.home = home
  }

  static async make(manager: Manager): Promise<Application> {
    const home = await mkdtemp(path.join(folder, 'home-'))
    await writeFile(path.join(home, 'move.mjs'), program)
    // In the application's folder: for another one Yarn 1 writes a lock file that it does not accept itself.
    await copyFile(tarball, path.join(home, 'package.tgz'))
    const manifest = { name: 'app', version: '1.0.0', private: true, license: 'MIT' }
    await writeFile(path.join(home, 'package.json'), JSON.stringify(manifest))
    return new Application(manager, home)
  }

  /** Runs the manager, and fails with its output where it fails. */
  async manage(...args: readonly string[]): Promise<string> {
    const { from, program } = this.manager
    const file = path.join(tools.get(from) ?? '', program)
    const isScript = /\.c?js$/.test(file)
    return isScript ? this.run(process.execPath, file, ...args) : this.run(file, ...args)
  }

  async runProgram(): Promise<string> {
    const { node } = this.manager
    return node ? this.manage(...node, 'move.mjs') : this.run(process.execPath, 'move.mjs')
  }

  async removeWhatIsInstalled(): Promise<void> {
    for (const name of ['node_modules', '.yarn', '.pnp.cjs', '.pnp.loader.mjs']) {
      await rm(path.join(this.home, name), { recursive: true, force: true })
    }
  }

  private async run(command: string, ...args: readonly string[]): Promise<string> {
    const { address } = registry
    const env = {
      PATH: process.env['PATH'],
      HOME: this.home,
      CI: 'true',
      KVM_PPC_BACKEND: 'software',
      npm_config_registry: address,
      pnpm_config_registry: address,
      YARN_NPM_REGISTRY_SERVER: address,
      YARN_UNSAFE_HTTP_WHITELIST: '127.0.0.1',
      YARN_ENABLE_SCRIPTS: 'true',
      YARN_ENABLE_TELEMETRY: 'false',
      ...this.manager.environment,
    }
    return (await run(command, args, { cwd: this.home, env })).stdout
  }
}

function expectRight(said: string): void {
  const [source, destination, kernel] = said.split('\n')
  expect([source, destination, ''].join('\n')).toMatch(moved)
  expect(kernel).toMatch(reachedTheKernel)
}

describe('the package', { timeout: 300_000 }, () => {
  it.concurrent.for(cases)('is installed by $name from $source', async ({ manager, spec }) => {
    const { add, frozen, rebuild, scripts } = manager
    const application = await Application.make(manager)
    await application.manage(...add, ...scripts.on, spec)
    expectRight(await application.runProgram())

    await application.removeWhatIsInstalled()
    await application.manage(...frozen, ...scripts.off)
    expectRight(await application.runProgram())
    if (rebuild) await application.manage(...rebuild)

    await application.removeWhatIsInstalled()
    await application.manage(...frozen, ...scripts.on)
    expectRight(await application.runProgram())
  })
})
