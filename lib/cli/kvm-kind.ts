import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'
import type { Host } from '../kvm/host.ts'
import type { Check } from './check.ts'

/** KVM_CAP_PPC_NESTED_HV of include/uapi/linux/kvm.h. */
const KVM_CAP_PPC_NESTED_HV = 160

/**
 * How KVM on a POWER host runs guests: `bare-metal` by itself; in a logical partition through the hypervisor
 * below, `nested-v1` by the interface of a KVM host, or `nested-v2` by that of PAPR, as under PowerVM
 * (Documentation/arch/powerpc/kvm-nested.rst).
 */
export type KvmKind = 'bare-metal' | 'nested-v1' | 'nested-v2'

/**
 * The kind of KVM that a host has, or null if the kernel does not tell.
 *
 * In a partition, KVM offers guests of guests (KVM_CAP_PPC_NESTED_HV) only by v1: kvmhv_enable_nested refuses
 * them by v2. It also refuses them if the module's parameter `nested` was turned off.
 *
 * @param root the folder that contains `proc` and `sys`; not `/` in tests
 */
export function kvmKind(
  host: Pick<Host, 'backend' | 'checkExtension'>,
  root = '/',
): KvmKind | null {
  const module = path.join(root, 'sys/module/kvm_hv')
  if (host.backend !== 'kvm' || !existsSync(module)) return null
  if (!isPartition(root)) return 'bare-metal'
  if (host.checkExtension(KVM_CAP_PPC_NESTED_HV) > 0) return 'nested-v1'
  return readText(path.join(module, 'parameters/nested')).trim() === 'Y' ? 'nested-v2' : null
}

/** Whether this is a logical partition, by /proc/cpuinfo. */
export function isPartition(root = '/'): boolean {
  return /^platform\s*:\s*pSeries$/m.test(readText(path.join(root, 'proc/cpuinfo')))
}

/** The contents of a file, or an empty string if it cannot be read. */
export function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}

const meanings = {
  'bare-metal': 'bare metal: each vCPU keeps the TB_OFFSET that was set on it',
  'nested-v1':
    'nested v1, in a partition under KVM: each vCPU keeps the TB_OFFSET that was set on it',
  'nested-v2':
    'nested v2, in a partition by the PAPR interface, as under PowerVM: the guest has one TB_OFFSET, that of the ' +
    'vCPU that was last set and run, whatever KVM_GET_ONE_REG says of the others. A new vCPU that runs before ' +
    'inheritTimebase takes the whole guest to offset 0',
} as const

/** The line of `info` for the kind of KVM; none for the model. */
export function checkKind(host: Pick<Host, 'backend'>, kind: KvmKind | null): Check[] {
  if (host.backend !== 'kvm') return []
  const unknown =
    'not known: in a partition with the parameter nested of kvm_hv turned off, nested v1 and v2 look alike'
  const found = kind === null ? unknown : meanings[kind]
  return [{ name: 'kind of KVM', status: 'note', found }]
}
