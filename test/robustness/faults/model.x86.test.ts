import { describe } from 'vitest'
import type { Kernel } from '../../../lib/kernel/kernel.ts'
import { SoftwareKernel } from '../../../lib/kernel/software/kernel.ts'
import type { SoftwareKernelOptions } from '../../../lib/kernel/software/kernel.ts'
import { HandMovedTime } from '../../../lib/testing/hand-moved-time.ts'
import { SECOND } from '../../support/host-pair.ts'
import { RelativeDecrementerKernel } from '../../support/kernels.ts'
import { describeMoves } from './moves.ts'
import type { Place } from './rig.ts'
import { describeSnapshots } from './snapshots.ts'

function place(makeKernel: (options: SoftwareKernelOptions) => Kernel, ids: number[]): Place {
  const time = new HandMovedTime()
  return {
    ids,
    makeKernel: () =>
      makeKernel({ time: time.read, timebase: 5_000_000_001n, timeOfDayNs: 1_000n }),
    passTime: () => {
      time.pass(SECOND)
    },
  }
}

const places: Record<string, Place> = {
  'a POWER9': place((options) => new SoftwareKernel(options), [0, 1, 5]),
  'a POWER8 whose vCPUs share a virtual core': place(
    (options) =>
      new SoftwareKernel({
        ...options,
        machine: 'powernv POWER8',
        linux: '6.1',
        threadsPerCore: 8,
      }),
    [0, 1],
  ),
  'a POWER10 with Linux 7.2': place(
    (options) => new SoftwareKernel({ ...options, machine: 'pseries POWER10', linux: '7.2' }),
    [0, 1],
  ),
  'a PowerVM partition, whose guests have one offset': place(
    (options) => new SoftwareKernel({ ...options, machine: 'papr POWER10' }),
    [0, 1],
  ),
  'Linux 4.16 to 5.16, where DEC_EXPIRY moves along with the offset': place(
    (options) => new RelativeDecrementerKernel(options),
    [0, 1],
  ),
  'a kernel without DEC_EXPIRY': place(
    (options) => new SoftwareKernel({ ...options, without: ['DEC_EXPIRY'] }),
    [0, 1],
  ),
}

// The model is the same on any processor; a POWER host has native.power.test.ts.
for (const [name, each] of Object.entries(places)) {
  describe(`faults on ${name}`, () => {
    describeMoves(each)
    // Of these the kinds of kernel differ in what registers there are.
    if (each.ids.length > 2 || name.includes('POWER8')) describeSnapshots(each)
  })
}
