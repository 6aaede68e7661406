import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { run } from 'power-host'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'

/** The oldest that the package is for, one without generic typed arrays, and the last three lines. */
const versions = ['5.4', '5.6', '5.9', '6.0', '7.0']

const program = `
  import { openHost } from 'kvm-ppc-onereg'
  import { readQemuTimebase } from 'kvm-ppc-onereg/vmstate'
  import { hostPair } from 'kvm-ppc-onereg/testing'
  using host = openHost()
  export const offset: bigint = host.createVm().createVcpu(0).get('TB_OFFSET')
  export { readQemuTimebase, hostPair }
`

/** skipLibCheck off: the declaration files themselves are checked. */
const options = ['--noEmit', '--strict', '--skipLibCheck', 'false', '--target', 'es2022']

describe('the types of the package, each declaration file checked', { timeout: 300_000 }, () => {
  let project: string

  beforeAll(async () => {
    project = await mkdtemp(path.join(tmpdir(), 'typescript-'))
    await cp(inject('project'), project, { recursive: true, verbatimSymlinks: true })
    await writeFile(path.join(project, 'program.mts'), program)
    const compilers = versions.map((version) => `typescript-${version}@npm:typescript@${version}`)
    const args = ['install', '--no-audit', '--no-fund', '@types/node@20', ...compilers]
    await run('npm', args, { cwd: project })
  }, 300_000)

  afterAll(() => rm(project, { recursive: true }))

  it.each(versions)(
    'are right for TypeScript %s, with "types": ["node"] and without',
    async (it) => {
      const tsc = path.join(project, `node_modules/typescript-${it}/bin/tsc`)
      for (const types of [[], ['--types', 'node']]) {
        const args = [tsc, ...options, ...types, '--module', 'nodenext', 'program.mts']
        expect(await run(process.execPath, args, { cwd: project })).toMatchObject({ stdout: '' })
      }
    },
  )
})
