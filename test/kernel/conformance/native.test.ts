import { NativeKernel } from '../../../lib/kernel/native.ts'
import { addonLacks, describeUnless } from '../../support/lacking.ts'
import { checkArguments } from './arguments.ts'

describeUnless(addonLacks, 'NativeKernel on any Linux: wrong arguments', () => {
  checkArguments(() => new NativeKernel())
})
