import { release, type } from 'node:os'
import { actualBackend } from '../backend.ts'
import { openHost } from '../host.ts'
import type { Host } from '../host.ts'
import { registers } from '../registers.ts'
import { TIMEBASE_OFFSET_STEP } from '../timebase.ts'
import type { TimebaseSample } from '../timebase.ts'
import type { Vcpu } from '../vcpu.ts'
import { grouped, json, seconds, table, timeOfDay } from './print.ts'

/** One line of the report: what was looked at, what was found, and whether that is good. */
interface Finding {
  readonly what: string
  readonly ok: boolean
  readonly found: string
}

/** `info`: what this host can do for a guest's timebase. 1 if something that a move needs is missing. */
export function info(options: { json?: boolean }, version: string): number {
  // The model is named in the output, so it needs no warning.
  using host = openHost({ backend: actualBackend() })
  const sample = attempt(() => host.sample())
  const findings = [
    backendOf(host),
    { what: 'KVM_CAP_ONE_REG', ok: true, found: 'yes' },
    ...clocksOf(sample),
    ...registersOf(host),
  ]
  const ok = findings.every((finding) => finding.ok)
  const machine = `${process.platform}-${process.arch}, ${type()} ${release()}, Node ${process.version}`
  if (options.json) {
    const { backend } = host
    const clock = sample instanceof Error ? null : sample
    console.log(json({ version, machine, backend, ok, sample: clock, findings }))
  } else {
    console.log(`kvm-ppc-onereg ${version} on ${machine}\n`)
    console.log(
      table(findings.map((finding) => [finding.ok ? 'ok' : 'NO', finding.what, finding.found])),
    )
    console.log(
      ok ? '\nThis host can move guest timebases.' : '\nThis host cannot move guest timebases.',
    )
  }
  return ok ? 0 : 1
}

function backendOf({ backend }: Host): Finding {
  const found =
    backend === 'kvm'
      ? 'kvm: the real kernel, through /dev/kvm'
      : 'software: a model of KVM on a POWER9 host, since this is none'
  return { what: 'backend', ok: true, found }
}

function clocksOf(sample: TimebaseSample | Error): Finding[] {
  if (sample instanceof Error) return [{ what: 'timebase', ok: false, found: sample.message }]
  const { timebase, timebaseFrequency, timeOfDayNs, uncertaintyNs } = sample
  return [
    {
      what: 'timebase',
      ok: true,
      found: `${grouped(timebase)} ticks at ${grouped(timebaseFrequency)} Hz: ${seconds(timebase, timebaseFrequency)}`,
    },
    {
      what: 'wall clock',
      ok: true,
      found: `${timeOfDay(timeOfDayNs)}, known to belong to that tick within ${grouped(uncertaintyNs)} ns`,
    },
  ]
}

/** On a vCPU of its own, that nothing runs. */
function registersOf(host: Host): Finding[] {
  using vm = host.createVm()
  using vcpu = vm.createVcpu(0)
  const readable = Object.keys(vcpu.snapshot()).length
  return [
    { what: 'TB_OFFSET', ...tryTimebaseOffset(vcpu) },
    { what: 'DEC_EXPIRY', ...tryDecExpiry(vcpu) },
    {
      what: 'registers',
      ok: true,
      found: `${readable} of ${Object.keys(registers).length} can be read`,
    },
  ]
}

function tryTimebaseOffset(vcpu: Vcpu): Omit<Finding, 'what'> {
  if (!vcpu.has('TB_OFFSET')) {
    return { ok: false, found: 'missing: a move needs HV KVM (kvm_hv) on POWER' }
  }
  vcpu.set('TB_OFFSET', 1n)
  const held = vcpu.get('TB_OFFSET')
  return held === TIMEBASE_OFFSET_STEP
    ? { ok: true, found: `works: 1 is kept as ${grouped(held)}, the next multiple of 2^24` }
    : { ok: false, found: `broken: 1 is kept as ${grouped(held)}` }
}

function tryDecExpiry(vcpu: Vcpu): Omit<Finding, 'what'> {
  return vcpu.has('DEC_EXPIRY')
    ? { ok: true, found: 'works: decrementers move with their guest' }
    : { ok: true, found: 'missing (Linux 4.16): guests lose the tick that they wait for' }
}

function attempt<T>(step: () => T): T | Error {
  try {
    return step()
  } catch (error) {
    if (error instanceof Error) return error
    throw error
  }
}
