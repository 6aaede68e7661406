import { expect, it, vi } from 'vitest'
import { commandLine } from '../support/command-line.ts'

it('info finds a POWER host well', async () => {
  vi.stubEnv('KVM_PPC_BACKEND', '')
  const { status, stdout } = await commandLine(['info', '--json'])
  const { ok, backend, checks } = JSON.parse(stdout) as {
    ok: boolean
    backend: string
    checks: { name: string; status: string }[]
  }
  expect({ status, ok, backend }).toEqual({ status: 0, ok: true, backend: 'kvm' })
  const statuses = Object.fromEntries(checks.map(({ name, status }) => [name, status]))
  expect(statuses).toMatchObject({
    processor: 'ok',
    'kernel module': 'ok',
    '/dev/kvm': 'ok',
    frequency: 'ok',
    TB_OFFSET: 'ok',
    DEC_EXPIRY: 'ok',
  })
})
