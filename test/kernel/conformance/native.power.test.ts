import { describe } from 'vitest'
import { NativeKernel } from '../../../lib/kernel/native.ts'
import { describeKernel } from './suite.ts'
import { thisKind } from './this-kind.ts'

const kind = thisKind()

describe(`NativeKernel on Linux like ${kind.linux} on ${kind.machine}`, () => {
  describeKernel(() => new NativeKernel(), kind)
})
