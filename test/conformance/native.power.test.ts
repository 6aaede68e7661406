import { describe } from 'vitest'
import { NativeKernel } from '../../lib/native.ts'
import { describeKernel } from './suite.ts'

describe('NativeKernel', () => {
  describeKernel(() => new NativeKernel())
})
