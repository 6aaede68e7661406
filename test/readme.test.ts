import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { beforeAll, describe, expect, it } from 'vitest'

const root = fileURLToPath(new URL('..', import.meta.url))
const readme = readFileSync(path.join(root, 'README.md'), 'utf8')
const [example, failing] = [...readme.matchAll(/```js\n(.*?)```/gs)].map((match) => match[1] ?? '')

describe('the README', () => {
  beforeAll(() => {
    if (!existsSync(path.join(root, 'dist'))) throw new Error('not built: npm run build:lib')
  })

  it('has an example that moves a timebase when it is pasted', () => {
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      ['--input-type=module', '--eval', example ?? ''],
      { cwd: root, encoding: 'utf8', env: { ...process.env, NODE_NO_WARNINGS: '1' } },
    )
    expect(stderr).toBe('')
    expect(status).toBe(0)
    expect(stdout).toMatch(/goes on at \d+,\n\d+ ticks after .*\nvCPU 1 has it too: true\n/)
  })

  it('has an example of calls that fail, which does what it says', () => {
    const use = `
      const vcpu = host.createVm().createVcpu(0)
      for (const value of [1n, 2n, 3n]) vcpu.set('DAR', value)
      try { vcpu.set('DAR', 4n) } catch ({ code }) { console.log(code, vcpu.get('DAR')) }`
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      ['--input-type=module', '--eval', `${failing ?? ''}${use}`],
      { cwd: root, encoding: 'utf8' },
    )
    expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: 'EIO 3n\n', stderr: '' })
  })

  it('names links that exist', () => {
    const links = [...readme.matchAll(/\]\((?!https?:)([^)#]+)/g)].map((match) => match[1] ?? '')
    expect(links.length).toBeGreaterThan(0)
    for (const link of links) expect(existsSync(path.join(root, link)), link).toBe(true)
  })
})
