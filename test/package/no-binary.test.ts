import { cp, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { run } from 'power-host'
import { example, moved, runProgram } from './newcomer.ts'

const readme = path.resolve(import.meta.dirname, '../../README.md')

const whyNoKvm = `
  import { openHost } from 'kvm-ppc-onereg'
  try {
    openHost({ backend: 'kvm', device: '/dev/null' })
  } catch (error) {
    console.log(error.code, error.message)
  }
`

describe('the package where none of its binaries fits', () => {
  let project: string
  let root: string

  beforeAll(async () => {
    project = await mkdtemp(path.join(tmpdir(), 'no-binary-'))
    await cp(inject('project'), project, { recursive: true, verbatimSymlinks: true })
    root = path.join(project, 'node_modules/kvm-ppc-onereg')
    await rm(path.join(root, 'prebuilds'), { recursive: true })
  })

  afterAll(() => rm(project, { recursive: true }))

  it('has the software model', async () => {
    const env = { KVM_PPC_BACKEND: 'software' }
    expect(await runProgram(project, 'move.mjs', await example(readme), env)).toMatch(moved)
  })

  it('says what it looked for, and the command that builds it, and that command does', async () => {
    const said = await runProgram(project, 'open.mjs', whyNoKvm)
    const machine = `${process.platform}-${process.arch}`
    for (const folder of [`prebuilds/${machine}`, 'build/Release', 'build/Debug']) {
      expect(said).toContain(`${path.join(root, folder, 'kvm_ppc_onereg.node')} (not there)`)
    }
    const [, folder = '', program = '', ...args] =
      /Build it in (\S+) with: (\S+) (\S+) (\S+)\n$/.exec(said) ?? []
    expect(folder).toBe(root)
    await run(program, args, { cwd: folder })
    expect(await runProgram(project, 'open.mjs', whyNoKvm)).toMatch(
      /^ERR_KVM_UNAVAILABLE \/dev\/null is not a KVM device/,
    )
  })
})
