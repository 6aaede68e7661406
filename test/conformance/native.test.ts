import { describe } from 'vitest'
import { NativeKernel } from '../../lib/native.ts'
import { checkArguments } from './arguments.ts'
import { describeKernel } from './suite.ts'

const isPower = process.arch === 'ppc64'
const isLinux = process.platform === 'linux'

// On POWER a missing /dev/kvm is a failure: there is nothing else to test there.
describe.skipIf(!isPower)(
  `NativeKernel${isPower ? '' : ' (skipped: run it on real KVM, on a POWER host or the emulated one of npm run power)'}`,
  () => {
    describeKernel(() => new NativeKernel())
  },
)

// On POWER they are part of the suite above.
if (!isPower) {
  describe.skipIf(!isLinux)(
    `NativeKernel off POWER${isLinux ? '' : ' (skipped: needs Linux and a built addon: npm run build:addon)'}`,
    () => {
      describe('wrong arguments', () => {
        checkArguments(() => new NativeKernel())
      })
    },
  )
}
