import { existsSync, readFileSync } from 'node:fs'
import { release, type } from 'node:os'
import path from 'node:path'
import type { Host } from './host.ts'

/** Platform, architecture, kernel and Node, for people. */
export function machineName(): string {
  return `${process.platform}-${process.arch}, ${type()} ${release()}, Node ${process.version}`
}

/** The processor's name in /proc/cpuinfo of a POWER host; undefined if there is none. */
export function processorName(root = '/'): string | undefined {
  return /^cpu\s*:\s*(.+)$/m.exec(readText(path.join(root, 'proc/cpuinfo')))?.[1]
}

/** KVM_CAP_PPC_NESTED_HV of include/uapi/linux/kvm.h. */
const KVM_CAP_PPC_NESTED_HV = 160

/**
 * How KVM on a POWER host runs guests: `bare-metal` by itself; in a logical partition through the hypervisor
 * below, `nested-v1` by the interface of a KVM host, or `nested-v2` by that of PAPR, as under PowerVM
 * (Documentation/arch/powerpc/kvm-nested.rst).
 *
 * @group Verifying a host
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
