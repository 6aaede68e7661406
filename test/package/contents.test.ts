import path from 'node:path'
import { describe, expect, inject, it } from 'vitest'
import { run } from 'power-host'
import { readDocument } from '../support/markdown.ts'

const root = path.resolve(import.meta.dirname, '../..')
const tarball = inject('tarball')

/** What a user needs: to read, to run, to type, and to build the addon where no binary fits. */
const wanted = [
  /^(README|CHANGELOG|CONTRIBUTING|SECURITY)\.md$/,
  /^LICENSE$/,
  /^package\.json$/,
  /^docs\/[\w-]+\.(md|svg|schema\.json)$/,
  /^man\/kvm-ppc-onereg\.1$/,
  /^dist\/[\w/-]+\.js$/,
  /^dist\/[\w/-]+\.d\.ts$/,
  /^prebuilds\/linux-ppc64\/kvm_ppc_onereg\.node$/,
  /^prebuilds\/linux-ppc64\/kvm_ppc_guest\.node$/,
  /^prebuilds\/linux-x64\/kvm_ppc_onereg\.node$/,
  /^native\/binding\.gyp$/,
  /^native\/\w+\.(cc|h)$/,
  /^native\/guest\/\w+\.(cc|h)$/,
  /^examples\/README\.md$/,
  /^examples\/(\w+\/)?[\w.-]+\.(mjs|ts)$/,
  /^scripts\/build-addon\.mjs$/,
]

/** Whoever writes CommonJS requires ESM, which every Node can that the package is for. */
const attwOptions = ['--profile', 'esm-only', '--no-emoji', '--no-color']

async function packed(): Promise<string[]> {
  const { stdout } = await run('tar', ['--list', '--file', tarball])
  return stdout
    .trim()
    .split('\n')
    .map((name) => name.replace(/^package\//, ''))
}

async function manifest(): Promise<Record<string, unknown>> {
  const { stdout } = await run('tar', [
    ...['--extract', '--to-stdout', '--file', tarball],
    'package/package.json',
  ])
  return JSON.parse(stdout) as Record<string, unknown>
}

/** Runs a program of the project's own dependencies; it fails if it finds anything. */
async function inspect(script: string, ...args: string[]): Promise<string> {
  const program = path.join(root, 'node_modules', script)
  return (await run(process.execPath, [program, ...args], { cwd: root })).stdout
}

describe('the package', () => {
  it('holds what a user needs, and nothing else', async () => {
    const names = await packed()
    expect(names.filter((name) => !wanted.some((pattern) => pattern.test(name)))).toEqual([])
    for (const pattern of wanted) expect(names.some((name) => pattern.test(name))).toBe(true)
  })

  it('has the file of each link of its documents', async () => {
    const names = await packed()
    const dead = names
      .filter((name) => name.endsWith('.md'))
      .flatMap((name) =>
        readDocument(name).links.filter((link) => {
          const [file = ''] = link.split('#')
          const target = path.posix.join(path.posix.dirname(name), file)
          const isHere = names.some((other) => other === target || other.startsWith(`${target}/`))
          return file !== '' && !/^[a-z]+:/.test(link) && !isHere
        }),
      )
    expect(dead).toEqual([])
  })

  it('has no types of what users cannot import', async () => {
    const types = (await packed()).filter((name) => name.endsWith('.d.ts'))
    expect(types).toContain('dist/kernel/batch.d.ts')
    expect(types.filter((name) => /^dist\/(cli|checks)/.test(name))).toEqual([])
    const batch = ['--extract', '--to-stdout', '--file', tarball, 'package/dist/kernel/batch.d.ts']
    const { stdout } = await run('tar', batch)
    expect(stdout).toContain('class OneRegBatch')
    expect(stdout).not.toMatch(/checkBatch|words64|@internal/)
  })

  it('has the program and the types of each entry', async () => {
    const names = await packed()
    const { exports, bin } = await manifest()
    const entries: string[] = [...(Object.values(exports as object) as unknown[]), bin].flatMap(
      (entry: unknown) =>
        typeof entry === 'string' ? [entry] : Object.values(entry as Record<string, string>),
    )
    expect(entries.length).toBeGreaterThan(4)
    for (const entry of entries) expect(names).toContain(path.posix.normalize(entry))
  })

  it('has no install script, and asks npm for none', async () => {
    const { gypfile, scripts } = await manifest()
    expect(gypfile).toBe(false)
    // `prepare` is not run for whoever installs a tarball, but npm warns of it.
    const own = /^(pre|post)?(install|prepare)$/
    expect(Object.keys(scripts as object).filter((name) => own.test(name))).toEqual([])
  })

  it('needs few others at run time', async () => {
    const { dependencies } = await manifest()
    expect(Object.keys(dependencies as object)).toEqual(['bindings', 'commander'])
  })

  it('is clean for publint', async () => {
    const said = await inspect('publint/src/cli.js', 'run', tarball, '--strict')
    expect(said).toContain('All good!')
  })

  it('has types that are right for ESM and for bundlers', async () => {
    // It ends with an error where it finds something wrong.
    const said = await inspect('@arethetypeswrong/cli/dist/index.js', tarball, ...attwOptions)
    for (const name of ['kvm-ppc-onereg', 'kvm-ppc-onereg/vmstate']) {
      expect(said).toContain(`"${name}"`)
    }
  })
})
