import { describe } from 'vitest'
import { SoftwareKernel } from '../../lib/software.ts'
import { describeKernel } from './suite.ts'

describe('SoftwareKernel', () => {
  describeKernel(() => new SoftwareKernel())
})
