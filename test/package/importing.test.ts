import { writeFile } from 'node:fs/promises'
import path from 'node:path'
import { describe, expect, inject, it } from 'vitest'
import { run } from 'power-host'
import { example, moved, openKvm, permissions, reachedTheKernel, runProgram } from './newcomer.ts'

const root = path.resolve(import.meta.dirname, '../..')
const project = inject('project')
const move = await example(path.join(root, 'README.md'))

/** On POWER the library finds KVM by itself, and elsewhere the model, which warns once. */
const model = { KVM_PPC_BACKEND: 'software' }

describe('the package in an empty project', () => {
  it('runs the README’s example', async () => {
    expect(await runProgram(project, 'move.mjs', move, model)).toMatch(moved)
  })

  it('calls the kernel with no install script having run', async () => {
    const text = `import { openHost } from 'kvm-ppc-onereg'\n${openKvm}`
    expect(await runProgram(project, 'open.mjs', text)).toMatch(reachedTheKernel)
  })

  it('is required from CommonJS', async () => {
    const text = `const { openHost } = require('kvm-ppc-onereg')\n${openKvm}`
    expect(await runProgram(project, 'open.cjs', text)).toMatch(reachedTheKernel)
    const names = `console.log(typeof require('kvm-ppc-onereg/vmstate').readQemuStream)`
    expect(await runProgram(project, 'vmstate.cjs', names)).toBe('function\n')
  })

  it('has a command line', async () => {
    const command = path.join(project, 'node_modules/.bin/kvm-ppc-onereg')
    const env = { ...process.env, ...model }
    expect((await run(command, ['demo'], { cwd: project, env })).stdout).toContain('TB_OFFSET')
  })
})

describe('the package under Node’s permission model', () => {
  const describing = `
    import { NativeKernel } from 'kvm-ppc-onereg'
    const kernel = new NativeKernel()
    console.log(kernel.describe(kernel.open('/dev/null')), kernel.describe(2_000_000_000))
  `

  it('calls the kernel', async () => {
    const text = `import { openHost } from 'kvm-ppc-onereg'\n${openKvm}`
    const printed = await runProgram(project, 'permitted.mjs', text, permissions(project))
    expect(printed).toMatch(reachedTheKernel)
  })

  it('sees what a descriptor is', async () => {
    const printed = await runProgram(project, 'describing.mjs', describing, permissions(project))
    expect(printed).toBe('/dev/null -9\n')
  })

  it('cannot see it without /proc', async () => {
    const noProc = permissions(project, [project])
    expect(await runProgram(project, 'describing.mjs', describing, noProc)).toBe('-13 -13\n')
  })

  it('says what to allow where no addon may be loaded', async () => {
    const text = `
      import { openHost } from 'kvm-ppc-onereg'
      try {
        openHost({ backend: 'kvm' })
      } catch (error) {
        console.log(error.code, error.message)
      }
    `
    const printed = await runProgram(project, 'forbidden.mjs', text, {
      NODE_OPTIONS: '--no-addons',
    })
    expect(printed).toMatch(
      /^ERR_KVM_UNAVAILABLE .* run it without --no-addons, and if with --permission, also with --allow-addons\n$/,
    )
  })
})

describe('the package in TypeScript', () => {
  const text = `
    import { openHost, saveTimebase, type TimebaseState } from 'kvm-ppc-onereg'
    import { readQemuTimebase } from 'kvm-ppc-onereg/vmstate'
    using host = openHost()
    const state: TimebaseState = saveTimebase([host.createVm().createVcpu(0)])
    export const ticks: bigint = state.guestTimebase
    export const read: (source: Uint8Array) => unknown = readQemuTimebase
    // @ts-expect-error: 64 bits are bigints
    export const wrong: number = state.guestTimebase
  `

  it.each([
    ['nodenext', 'ESM', 'moved.mts'],
    ['nodenext', 'CommonJS', 'moved.cts'],
    ['bundler', 'ESM', 'moved.ts'],
  ])('has its types with %s in %s', async (resolution, _format, name) => {
    await writeFile(path.join(project, name), text)
    const isBundler = resolution === 'bundler'
    const options = [
      ...['--strict', '--noEmit', '--target', 'es2023', '--lib', 'es2023,esnext.disposable'],
      ...['--module', isBundler ? 'esnext' : resolution],
      ...(isBundler ? ['--moduleResolution', resolution] : []),
      ...['--types', 'node', '--typeRoots', path.join(root, 'node_modules/@types')],
    ]
    const tsc = path.join(root, 'node_modules/typescript/bin/tsc')
    await run(process.execPath, [tsc, ...options, name], { cwd: project })
  })
})
