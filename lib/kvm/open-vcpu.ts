import type { Descriptor } from './descriptor.ts'
import type { RegisterName } from '../registers.ts'
import type { KvmSystem } from './system.ts'

/** The part of a {@link Vcpu} that reading and writing its registers takes. Its internal members are not in the published types. */
export interface OpenVcpu {
  readonly id: number
  readonly fd: number
  /** @internal */
  readonly system: KvmSystem
  /** @internal */
  readonly descriptor: Descriptor
  /**
   * @internal The registers that the kernel said it does not have, which a snapshot leaves out. They are
   * remembered for the vCPUs of one VM only: kvm_pr has others than kvm_hv in the same kernel.
   */
  readonly absent: Set<RegisterName>
}
