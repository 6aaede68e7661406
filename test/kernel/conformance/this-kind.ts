import { readFileSync } from 'node:fs'
import { release } from 'node:os'
import { Host } from '../../../lib/kvm/host.ts'
import { NativeKernel } from '../../../lib/kernel/native.ts'
import { modelledKind } from '../../../lib/verify/model.ts'
import type { Kind } from './measured.ts'

/**
 * The kind of this POWER host, of those that were measured.
 *
 * @throws Error on a host that was not measured
 */
export function thisKind(): Kind {
  using host = new Host(new NativeKernel())
  const kind = modelledKind(host)
  if (kind !== undefined) return kind
  const cpuinfo = readFileSync('/proc/cpuinfo', 'utf8')
  throw new Error(
    `There are no measurements of KVM of Linux ${release()} on this machine: add it to test/kernel/conformance/measured.ts and lib/kernel/software/machine.ts\n${cpuinfo}`,
  )
}
