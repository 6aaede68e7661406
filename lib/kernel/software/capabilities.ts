import type { ModelledLinux, ModelledMachine } from './machine.ts'

/** The capabilities of Linux 6.12 in an LPAR with two processors on POWER9. */
const onPseriesPower9: ReadonlyMap<number, number> = new Map([
  [3, 1], // KVM_CAP_USER_MEMORY
  [9, 2], // KVM_CAP_NR_VCPUS
  [10, 32767], // KVM_CAP_NR_MEMSLOTS
  [16, 1], // KVM_CAP_SYNC_MMU
  [21, 1], // KVM_CAP_DESTROY_MEMORY_REGION_WORKS
  [23, 1], // KVM_CAP_SET_GUEST_DEBUG
  [30, 1], // KVM_CAP_JOIN_MEMORY_REGIONS_WORKS
  [32, 1], // KVM_CAP_IRQFD
  [36, 1], // KVM_CAP_IOEVENTFD
  [40, 1], // KVM_CAP_INTERNAL_ERROR_DATA
  [43, 1], // KVM_CAP_PPC_SEGSTATE
  [53, 1], // KVM_CAP_PPC_UNSET_IRQ
  [54, 1], // KVM_CAP_ENABLE_CAP
  [58, 1], // KVM_CAP_PPC_IRQ_LEVEL
  [63, 1], // KVM_CAP_SPAPR_TCE
  [64, 1], // KVM_CAP_PPC_SMT
  [66, 2048], // KVM_CAP_MAX_VCPUS
  [67, 1], // KVM_CAP_PPC_HIOR
  [68, 1], // KVM_CAP_PPC_PAPR
  [70, 1], // KVM_CAP_ONE_REG
  [78, 1], // KVM_CAP_PPC_GET_SMMU_INFO
  [80, 1], // KVM_CAP_PPC_ALLOC_HTAB
  [84, 1], // KVM_CAP_PPC_HTAB_FD
  [89, 1], // KVM_CAP_DEVICE_CTRL
  [91, 1], // KVM_CAP_PPC_RTAS
  [92, 1], // KVM_CAP_IRQ_XICS
  [94, 1], // KVM_CAP_SPAPR_MULTITCE
  [98, 1], // KVM_CAP_ENABLE_CAP_VM
  [103, 1], // KVM_CAP_PPC_FIXUP_HCALL
  [104, 1], // KVM_CAP_PPC_ENABLE_HCALL
  [105, 1], // KVM_CAP_CHECK_EXTENSION_VM
  [122, 1], // KVM_CAP_IOEVENTFD_ANY_LENGTH
  [125, 1], // KVM_CAP_SPAPR_TCE_64
  [128, 16384], // KVM_CAP_MAX_VCPU_ID
  [133, 1], // KVM_CAP_SPAPR_RESIZE_HPT
  [134, 1], // KVM_CAP_PPC_MMU_RADIX
  [136, 1], // KVM_CAP_IMMEDIATE_EXIT
  [142, 1], // KVM_CAP_SPAPR_TCE_VFIO
  [146, 1], // KVM_CAP_PPC_FWNMI
  [147, 15], // KVM_CAP_PPC_SMT_POSSIBLE
  [151, 1], // KVM_CAP_PPC_GET_CPU_CHAR
  [160, 1], // KVM_CAP_PPC_NESTED_HV
  [182, 1], // KVM_CAP_HALT_POLL
  [202, 1], // KVM_CAP_PPC_RPT_INVALIDATE
  [203, 1], // KVM_CAP_BINARY_STATS_FD
  [210, 1], // KVM_CAP_PPC_AIL_MODE_3
  [215, 1], // KVM_CAP_SYSTEM_EVENT_DATA
  [231, 1], // KVM_CAP_USER_MEMORY2
])

const onMachine: Readonly<Record<ModelledMachine, readonly (readonly [number, number])[]>> = {
  'pseries POWER9': [],
  'pseries POWER10': [],
  'papr POWER10': [
    [160, 0], // KVM_CAP_PPC_NESTED_HV
    [194, 1], // KVM_CAP_PPC_DAWR1
  ],
  'papr POWER11': [
    [160, 0], // KVM_CAP_PPC_NESTED_HV
    [194, 1], // KVM_CAP_PPC_DAWR1
  ],
  'powernv POWER8': [
    [82, 1], // KVM_CAP_IRQFD_RESAMPLE
    [134, 0], // KVM_CAP_PPC_MMU_RADIX
    [147, 1], // KVM_CAP_PPC_SMT_POSSIBLE
    [160, 0], // KVM_CAP_PPC_NESTED_HV
  ],
  'powernv POWER9': [
    [115, 1], // KVM_CAP_PPC_HWRNG
    [169, 1], // KVM_CAP_PPC_IRQ_XIVE
    [210, 0], // KVM_CAP_PPC_AIL_MODE_3
  ],
  'powernv POWER10': [
    [115, 1], // KVM_CAP_PPC_HWRNG
    [135, 1], // KVM_CAP_PPC_MMU_HASH_V3
    [169, 1], // KVM_CAP_PPC_IRQ_XIVE
    [194, 1], // KVM_CAP_PPC_DAWR1
  ],
}

function onLinux(
  linux: ModelledLinux,
  machine: ModelledMachine,
): readonly (readonly [number, number])[] {
  if (linux !== '6.1') return []
  return [
    [82, 1], // KVM_CAP_IRQFD_RESAMPLE
    [142, machine.startsWith('pseries') ? 0 : 1], // KVM_CAP_SPAPR_TCE_VFIO
    [231, 0], // KVM_CAP_USER_MEMORY2
  ]
}

/**
 * The measured results of KVM_CHECK_EXTENSION on /dev/kvm and on a VM. Capabilities that are not in the map
 * give 0.
 */
export function capabilitiesOf(
  machine: ModelledMachine,
  linux: ModelledLinux,
): ReadonlyMap<number, number> {
  return new Map([...onPseriesPower9, ...onMachine[machine], ...onLinux(linux, machine)])
}
