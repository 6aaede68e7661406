import { actualBackend } from '../kernel/backend.ts'
import { openHost } from '../kvm/host.ts'
import type { Host } from '../kvm/host.ts'
import { checkLines } from './check.ts'
import type { Check } from './check.ts'
import { checkHost, checkRefusal } from './kvm-checks.ts'
import { checkModule, checkProcessor, checkWallClock } from './machine-checks.ts'
import { kvmKind, machineName } from '../kvm/this-machine.ts'
import type { KvmKind } from '../kvm/this-machine.ts'
import { json } from './print.ts'
import type { TimebaseSample } from '../kvm/sample.ts'
import { heading, styled } from './terminal.ts'

export interface InfoOptions {
  readonly json?: boolean
  /** Makes the software model a failed check. */
  readonly require?: 'kvm'
}

/** The command `info`: checks whether this host can move a guest's timebase. Returns 1 if a check failed. */
export function info(options: InfoOptions, version: string): number {
  const backend = actualBackend()
  const kvm = checkKvm(backend)
  const checks = [...machineChecks(backend, options.require), ...kvm.checks]
  const failed = checks.filter(({ status }) => status === 'failed')
  const ok = failed.length === 0
  const machine = machineName()
  if (options.json) {
    const { kind, sample } = kvm
    console.log(json({ release: version, machine, backend, kind, ok, sample, checks }))
  } else {
    console.log(heading(`kvm-ppc-onereg ${version} on ${machine}\n`))
    console.log(checkLines(checks))
    console.log(`\n${summary(backend, checks, failed)}`)
  }
  return ok ? 0 : 1
}

function machineChecks(backend: Host['backend'], required?: 'kvm'): Check[] {
  if (backend === 'kvm') {
    const kernel = { name: 'backend', status: 'ok', found: 'kvm: the real kernel' } as const
    const module = process.arch === 'ppc64' ? [checkModule()] : []
    return [kernel, checkProcessor(), ...module, checkWallClock()]
  }
  const found =
    'software: a model of KVM on a POWER9 host, instead of the real kernel. The processor, module, permissions and clock of this machine were not checked'
  if (required === undefined) return [{ name: 'backend', status: 'note', found }]
  const remedy =
    'run it on little-endian POWER Linux, without KVM_PPC_BACKEND=software, or on an emulated host: npx power-host'
  return [{ name: 'backend', status: 'failed', found, remedy }]
}

interface Checked {
  readonly kind: KvmKind | null
  readonly sample: TimebaseSample | null
  readonly checks: Check[]
}

function checkKvm(backend: Host['backend']): Checked {
  let host: Host
  try {
    // The backend is passed so that the model does not emit a warning: the report says it already.
    host = openHost({ backend })
  } catch (error) {
    return { kind: null, sample: null, checks: [checkRefusal(error)] }
  }
  try {
    const sample = sampleOf(host)
    const kind = kvmKind(host)
    const checks = checkHost(host, sample, kind)
    return { kind, sample: sample instanceof Error ? null : sample, checks }
  } finally {
    host.close()
  }
}

function sampleOf(host: Host): TimebaseSample | Error {
  try {
    return host.sample()
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error))
  }
}

function summary(
  backend: Host['backend'],
  checks: readonly Check[],
  failed: readonly Check[],
): string {
  if (failed.length > 0) {
    const names = failed.map(({ name }) => name).join(', ')
    return styled('red', `This host cannot move guest timebases. Failed: ${names}.`)
  }
  const warnings = checks.filter(({ status }) => status === 'warning').map(({ name }) => name)
  const heed = warnings.length === 0 ? '' : ` Warnings: ${warnings.join(', ')}.`
  return backend === 'kvm'
    ? `${styled('green', 'This host can move guest timebases.')}${heed}`
    : `${styled('green', 'The software model can move guest timebases, for tests; real ones move on POWER.')}${heed}`
}
