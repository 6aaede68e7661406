import { setTimeout } from 'node:timers/promises'
import { Host } from '../../lib/kvm/host.ts'
import { SoftwareKernel } from '../../lib/kernel/software/kernel.ts'

// Goes on making calls with KVM_PPC_TRACE=1 after the reader of the trace has closed the pipe.

const vcpu = new Host(new SoftwareKernel()).createVm().createVcpu(0)
// A line on standard input says that stderr is closed.
process.stdin.once('data', () => void goOn())

async function goOn(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) {
    vcpu.get('TB_OFFSET')
    await setTimeout(1)
  }
  vcpu.host.close()
  process.stdout.write('went on\n')
  process.exit(0)
}
