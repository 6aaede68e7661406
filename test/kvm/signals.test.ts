import { setTimeout } from 'node:timers/promises'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { SoftwareKernel } from '../../lib/kernel/software/kernel.ts'
import { Host } from '../../lib/kvm/host.ts'

let warnings: Error[]
const onWarning = (warning: Error): void => {
  warnings.push(warning)
}

beforeEach(() => {
  warnings = []
  process.on('warning', onWarning)
})

afterEach(() => {
  process.off('warning', onWarning)
})

function vcpus(count: number) {
  const vm = new Host(new SoftwareKernel()).createVm()
  return Array.from({ length: count }, (_, id) => vm.createVcpu(id))
}

it('one signal serves fifty vCPUs, without a warning of leaking listeners', async () => {
  const { signal } = new AbortController()
  await Promise.all(vcpus(50).map((vcpu) => vcpu.getAsync('TB_OFFSET', { signal })))
  await setTimeout(0)
  expect(warnings.map(({ name }) => name)).not.toContain('MaxListenersExceededWarning')
})

it('one signal aborts all calls that wait, each with its reason', async () => {
  const controller = new AbortController()
  const calls = vcpus(20).map((vcpu) => vcpu.getAsync('TB_OFFSET', { signal: controller.signal }))
  controller.abort('enough')
  for (const { status, reason } of (await Promise.allSettled(calls)) as PromiseRejectedResult[]) {
    expect(status).toBe('rejected')
    expect(reason).toMatchObject({ name: 'AbortError', code: 'ABORT_ERR', cause: 'enough' })
  }
})

it('a signal is asked for no more than what is checked: aborted and addEventListener', async () => {
  const [vcpu] = vcpus(1)
  const signal = { aborted: false, addEventListener: () => undefined } as unknown as AbortSignal
  await expect(vcpu?.getAsync('TB_OFFSET', { signal })).resolves.toBe(0n)
  // An unhandled rejection would fail the run.
  await setTimeout(10)
})

it('a signal whose addEventListener throws rejects the call, and the next one goes on', async () => {
  const [vcpu] = vcpus(1)
  const signal = {
    aborted: false,
    addEventListener: () => {
      throw new Error('not today')
    },
  } as unknown as AbortSignal
  await expect(vcpu?.getAsync('TB_OFFSET', { signal })).rejects.toThrow('not today')
  await expect(vcpu?.getAsync('TB_OFFSET')).resolves.toBe(0n)
})
