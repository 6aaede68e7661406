import type { Host } from '../kvm/host.ts'
import type { KvmKind } from '../kvm/this-machine.ts'
import type { Check } from './check.ts'

const meanings = {
  'bare-metal': 'bare metal: each vCPU keeps the TB_OFFSET that was set on it',
  'nested-v1':
    'nested v1, in a partition under KVM: each vCPU keeps the TB_OFFSET that was set on it',
  'nested-v2':
    'nested v2, in a partition by the PAPR interface, as under PowerVM: the guest has one TB_OFFSET, that of the ' +
    'vCPU that was last set and run, whatever KVM_GET_ONE_REG says of the others. A new vCPU that runs before ' +
    'inheritTimebase takes the whole guest to offset 0',
} as const

const unknown =
  'not known: in a partition with the parameter nested of kvm_hv turned off, nested v1 and v2 look alike'

export function kindInWords(kind: KvmKind | null): string {
  return kind === null ? unknown : meanings[kind]
}

/** The line of `info` for the kind of KVM; none for the model. */
export function checkKind(host: Pick<Host, 'backend'>, kind: KvmKind | null): Check[] {
  if (host.backend !== 'kvm') return []
  return [{ name: 'kind of KVM', status: 'note', found: kindInWords(kind) }]
}
