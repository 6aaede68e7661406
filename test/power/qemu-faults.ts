import { readFile } from 'node:fs/promises'
import { run, qemu, type Machine } from 'power-host'
import { idsInARowVariable } from '../support/emulated.ts'

/**
 * The variables for tests on papr that tell of faults of the QEMU which plays the hypervisor. The tests look
 * for other faults themselves; this one ends QEMU, so it is looked for in its program.
 */
export async function faultsOfQemu(machine: Machine): Promise<Record<string, string>> {
  if (!machine.args.some((arg) => arg.includes('cap-nested-papr'))) return {}
  const { command, args } = await qemu(machine.leastQemu)
  const fetched = args.find((arg) => arg.endsWith('/qemu-system-ppc64'))
  const { stdout } = await run('sh', ['-c', 'command -v "$0"', fetched ?? command])
  const program = await readFile(stdout.trim())
  return program.includes(assertionOfIds) ? { [idsInARowVariable]: '1' } : {}
}

/** h_guest_create_vcpu in hw/ppc/spapr_nested.c, line 1430 in QEMU 10.0; an assertion has its text in it. */
const assertionOfIds = 'vcpuid == guest->nr_vcpus'
