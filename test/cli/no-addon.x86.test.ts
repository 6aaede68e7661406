import { expect, it, vi } from 'vitest'
import { unavailable } from '../../lib/errors.ts'
import { commandLine } from '../support/command-line.ts'

// On the emulated host test files share their modules: there what is mocked would stay so for others.
vi.mock('../../lib/kernel/addon.ts', () => ({
  loadAddon: () => {
    throw unavailable('no-addon', 'The native addon could not be loaded', new Error('no such file'))
  },
}))

it('info says that the addon is not there, and ends with 1', async () => {
  vi.stubEnv('KVM_PPC_BACKEND', 'kvm')
  const { status, stdout, stderr } = await commandLine(['info'])
  expect({ status, stderr }).toEqual({ status: 1, stderr: '' })
  expect(stdout).toMatch(/^FAIL +native addon +The native addon could not be loaded/m)
  expect(stdout).toMatch(/cannot move guest timebases\. Failed: .*native addon/)
})
