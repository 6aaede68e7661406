import { readFileSync } from 'node:fs'
import { release } from 'node:os'
import { linuxVersions, machines } from '../kernel/software/machine.ts'
import type { ModelledLinux, ModelledMachine } from '../kernel/software/machine.ts'
import type { Host } from '../kvm/host.ts'
import { kvmKind, processorName } from '../kvm/this-machine.ts'

/** A Linux version and a machine that were measured. */
export interface ModelledKind {
  readonly linux: ModelledLinux
  readonly machine: ModelledMachine
}

/**
 * The measured kind of host that this POWER host is: the machine by /proc/cpuinfo, and of the Linux versions
 * that were measured the newest that is not newer than the one that runs. Undefined if the machine was not
 * measured.
 */
export function modelledKind(host: Host): ModelledKind | undefined {
  const processor = processorName()?.match(/^\w+/)?.[0].toUpperCase() ?? ''
  const machine = machines.find((name) => name === `${platformOf(host)} ${processor}`)
  const linux = linuxVersions.findLast((version) => number(version) <= number(release()))
  return machine === undefined || linux === undefined ? undefined : { linux, machine }
}

function platformOf(host: Host): string {
  if (kvmKind(host) === 'nested-v2') return 'papr'
  const cpuinfo = readFileSync('/proc/cpuinfo', 'utf8')
  return /^platform\s*: (\w+)/m.exec(cpuinfo)?.[1]?.toLowerCase() ?? ''
}

function number(version: string): number {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  return major * 1000 + minor
}
