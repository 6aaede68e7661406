import { beforeEach, expect, it, vi } from 'vitest'
import { commandLine } from '../support/command-line.ts'

beforeEach(() => {
  vi.stubEnv('KVM_PPC_BACKEND', '')
})

it('demo moves a timebase between real vCPUs', async () => {
  const { status, stdout, stderr } = await commandLine(['demo'])
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
  expect(stdout.replaceAll(/\s+/g, ' ')).toContain(
    'The vCPUs of both hosts are real ones, of the KVM of this machine.',
  )
})

it('registers --probe asks the real kernel', async () => {
  const { status, stdout } = await commandLine(['registers', '--probe'])
  expect(status).toBe(0)
  // The offset of a new vCPU, which is a multiple of a step.
  expect(stdout).toMatch(/^TB_OFFSET +0x103000000000009c +64 +0x[\da-f]{10}000000 +/m)
  expect(stdout).toMatch(/\n\d{3} of \d+ registers can be read on this kernel\n$/)
})
