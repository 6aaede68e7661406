import { expect, it } from 'vitest'
import { OneRegBatch } from '../../lib/kernel/batch.ts'
import type { Kernel } from '../../lib/kernel/kernel.ts'
import { NativeKernel } from '../../lib/kernel/native.ts'
import { SoftwareKernel } from '../../lib/kernel/software/kernel.ts'
import { FailingKernel } from '../../lib/testing/failing-kernel.ts'
import { registers } from '../../lib/registers.ts'
import { addonLacks, describeUnless } from '../support/lacking.ts'

const NO_FD = 2_000_000_000

const kernels: [string, () => Kernel, string | undefined][] = [
  ['the model', () => new SoftwareKernel(), undefined],
  ['a failing kernel', () => failing(), undefined],
  ['the real kernel', () => new NativeKernel(), addonLacks],
]

/** One that fails the first entry of a batch, so that it makes the calls of the others by themselves. */
function failing(): FailingKernel {
  const kernel = new FailingKernel(new SoftwareKernel())
  kernel.fail({ errno: 'EIO', times: 1 })
  return kernel
}

for (const [name, makeKernel, lacking] of kernels) {
  describeUnless(lacking, `a batch that is written off the JavaScript thread, on ${name}`, () => {
    // Without a vCPU: a call that fails brings as much back as one that succeeds.
    it('can take the next values as soon as the call was made', async () => {
      const kernel = makeKernel()
      const batch = new OneRegBatch(2)
      batch.fds.fill(NO_FD)
      batch.ids.fill(registers.DSCR.id)
      batch.set64(1, 1n)
      const call = kernel.setOneRegsAsync(batch)
      batch.set64(1, 2n)
      expect(await call).toBe(0)
      expect(batch.get64(1)).toBe(2n)
      expect(batch.results[1]).toBe(-9)
    })
  })
}
