import { describe } from 'vitest'
import { kernelForAnyIds } from '../../support/ids-in-a-row.ts'
import { describeKernel } from './suite.ts'
import { thisKind } from './this-kind.ts'

const kind = thisKind()

describe(`NativeKernel on Linux like ${kind.linux} on ${kind.machine}`, () => {
  describeKernel(kernelForAnyIds, kind)
})
