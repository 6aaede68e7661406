import { describe } from 'vitest'
import { SoftwareKernel } from '../../../lib/kernel/software/kernel.ts'
import { isModelled, linuxVersions, machines } from '../../../lib/kernel/software/machine.ts'
import { emulated } from '../../support/emulated.ts'
import { describeKernel, describeMachine } from './suite.ts'

const unlessTold = { linux: '6.12', machine: 'pseries POWER9' } as const

describe('SoftwareKernel', () => {
  describeKernel(() => new SoftwareKernel(), unlessTold)
})

// The model is the same on any processor, and on an emulated one these would take minutes.
for (const machine of emulated ? [] : machines) {
  for (const linux of linuxVersions.filter((version) => isModelled(machine, version))) {
    describe(`SoftwareKernel of Linux ${linux} on ${machine}`, () => {
      describeMachine(() => new SoftwareKernel({ linux, machine }), { linux, machine })
    })
  }
}
