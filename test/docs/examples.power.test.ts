import { expect, it } from 'vitest'
import { runExample } from '../support/run-example.ts'

it('borrowed-vcpu uses the vCPUs of another addon', async () => {
  const ended = await runExample('borrowed-vcpu.mjs', 'test/power/guest/monitor.mjs')
  expect(ended).toMatchObject({ status: 0, stderr: '' })
  expect(ended.stdout).toMatch(/vCPUs 0 \(fd \d+\), 1 \(fd \d+\) were borrowed\.\n/)
  expect(ended.stdout).toMatch(/is still vCPU 0's: true\.\n$/)
})
