import type { Descriptor } from './descriptor.ts'
import type { RegisterName } from '../registers.ts'
import type { KvmSystem } from './system.ts'

/** The part of a {@link Vcpu} that reading and writing its registers takes. */
export interface OpenVcpu {
  readonly id: number
  readonly fd: number
  readonly system: KvmSystem
  readonly descriptor: Descriptor
  /**
   * The registers that the kernel said it does not have, which a snapshot leaves out. They are
   * remembered for the vCPUs of one VM only: kvm_pr has others than kvm_hv in the same kernel.
   */
  readonly absent: Set<RegisterName>
}
