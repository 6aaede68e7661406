import { readFileSync } from 'node:fs'
import { release } from 'node:os'
import { linuxVersions, machines } from '../../../lib/kernel/software/machine.ts'
import { kvmKind } from '../../../lib/cli/kvm-kind.ts'
import { Host } from '../../../lib/kvm/host.ts'
import { NativeKernel } from '../../../lib/kernel/native.ts'
import type { Kind } from './measured.ts'

/**
 * The kind of this POWER host: the machine by /proc/cpuinfo, and of the Linux versions that were
 * measured the newest that is not newer than the one that runs.
 *
 * @throws Error on a host that was not measured
 */
export function thisKind(): Kind {
  const cpuinfo = readFileSync('/proc/cpuinfo', 'utf8')
  const processor = /^cpu\s*: (\w+)/m.exec(cpuinfo)?.[1]?.toUpperCase() ?? 'unknown processor'
  const system = /^platform\s*: (\w+)/m.exec(cpuinfo)?.[1]?.toLowerCase() ?? 'unknown platform'
  const platform = isNestedV2() ? 'papr' : system
  const machine = machines.find((name) => name === `${platform} ${processor}`)
  const linux = linuxVersions.findLast((version) => number(version) <= number(release()))
  if (machine === undefined || linux === undefined) {
    throw new Error(
      `There are no measurements of KVM of Linux ${release()} on ${platform} ${processor}: add it to test/kernel/conformance/measured.ts and lib/kernel/software/machine.ts`,
    )
  }
  return { linux, machine }
}

function number(version: string): number {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  return major * 1000 + minor
}

function isNestedV2(): boolean {
  using host = new Host(new NativeKernel())
  return kvmKind(host) === 'nested-v2'
}
