import { expect, it, vi } from 'vitest'
import { thisKind } from '../kernel/conformance/this-kind.ts'
import { commandLine } from '../support/command-line.ts'

it('info finds a POWER host well', async () => {
  vi.stubEnv('KVM_PPC_BACKEND', '')
  const { status, stdout } = await commandLine(['info', '--json'])
  const { ok, backend, kind, checks } = JSON.parse(stdout) as {
    ok: boolean
    backend: string
    kind: string | null
    checks: { name: string; status: string }[]
  }
  expect({ status, ok, backend }).toEqual({ status: 0, ok: true, backend: 'kvm' })
  // /init of the emulated host loads kvm_hv with its parameters as they are.
  const { machine } = thisKind()
  expect(kind).toBe(
    machine.startsWith('powernv')
      ? 'bare-metal'
      : machine.startsWith('papr')
        ? 'nested-v2'
        : 'nested-v1',
  )
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
