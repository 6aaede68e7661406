import type { Descriptor } from './descriptor.ts'
import type { Layout } from './layout.ts'
import type { KvmSystem } from './system.ts'

/**
 * The registers but those of which the kernel said that a VM's vCPUs do not have them; a snapshot leaves these
 * out. They are remembered for one VM only: kvm_pr has others than kvm_hv in the same kernel.
 */
export interface PresentRegisters {
  layout: Layout | undefined
}

/** The part of a {@link Vcpu} that reading and writing its registers takes. Its internal members are not in the published types. */
export interface OpenVcpu {
  readonly id: number
  readonly fd: number
  /** @internal */
  readonly system: KvmSystem
  /** @internal */
  readonly descriptor: Descriptor
  /** @internal */
  readonly present: PresentRegisters
}
