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

  it('prints only the registers that are named, each once', async () => {
    vi.stubEnv('KVM_PPC_BACKEND', 'software')
    const { status, stdout } = await commandLine(['registers', '--probe', 'DAR', 'VTB', 'DAR'])
    expect(status).toBe(0)
    expect(stdout).toMatch(
      /^name .*\nDAR +0x[^\n]*\nVTB +0x[^\n]*\n\n2 of 2 registers can be read on the software model\n$/,
    )
  })

  it.each([
    ['dar', /It must be a name of the table, as 'DAR'\./],
    ['DEC', /as 'DEC_EXPIRY'/],
    ['pc', /KVM_GET_REGS/],
    ['nonsense', /It must be a name of the table\./],
  ])('suggests a name for %s', async (name, hint) => {
    const { status, stdout, stderr } = await commandLine(['registers', 'TB_OFFSET', name])
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' })
    expect(stderr).toMatch(hint)
    expect(stderr).toContain("(try 'kvm-ppc-onereg registers --help')")
  })
})
