import { describe, expect, it, vi } from 'vitest'
import { registerNames } from '../../lib/registers.ts'
import { commandLine } from '../support/command-line.ts'

describe('registers', () => {
  it('prints a line for each', async () => {
    const { status, stdout } = await commandLine(['registers'])
    expect(status).toBe(0)
    expect(stdout.split('\n')).toHaveLength(registerNames.length + 2)
    expect(stdout).toMatch(/^TB_OFFSET +0x103000000000009c +64 +/m)
  })

  it('--probe prints what a new vCPU says to each, and how many it has', async () => {
    vi.stubEnv('KVM_PPC_BACKEND', 'software')
    const { status, stdout } = await commandLine(['registers', '--probe'])
    expect(status).toBe(0)
    expect(stdout).toMatch(/^TB_OFFSET +0x103000000000009c +64 +0x0000000000000000 +/m)
    expect(stdout).toMatch(/^DSISR +0x102000000000000d +32 +0x00000000 +/m)
    expect(stdout).toMatch(/^VR0 +0x1040000000000040 +128 +0{32} +/m)
    expect(stdout).toMatch(/^TM_XER +0x103000008000006a +64 +EINVAL +/m)
    const [, readable] = /\n(\d+) of \d+ registers can be read on the software model\n$/.exec(
      stdout,
    ) ?? ['', '']
    expect(stdout.match(/^\w+ +0x\w+ +\d+ +E\w+ /gm)).toHaveLength(
      registerNames.length - Number(readable),
    )
  })
})
