import { actualBackend } from '../kernel/backend.ts'
import type { WallClock } from '../kernel/wall-clock.ts'
import { openHost } from '../kvm/host.ts'
import type { Host } from '../kvm/host.ts'
import type { TimebaseSample } from '../kvm/sample.ts'
import type { Vcpu } from '../kvm/vcpu.ts'
import type { TimebaseState } from '../timebase/state.ts'
import { timeRegisters } from '../timebase/timers.ts'
import { checkLines } from './check.ts'
import type { Check } from './check.ts'
import { checkRefusal, checkTimebaseOffset, failure } from './kvm-checks.ts'
import { grouped, json, timeOfDay } from './print.ts'
import { readState } from './state-file.ts'
import { styled } from './terminal.ts'

/** The command `check`: can this host load a saved timebase? Returns 1 if a check failed. */
export async function checkStateFile(file: string, options: { json?: boolean }): Promise<number> {
  const state = await readState(file)
  const backend = actualBackend()
  const checks = checksOf(backend, state)
  const failed = checks.filter(({ status }) => status === 'failed').map(({ name }) => name)
  const ok = failed.length === 0
  const verdict = ok
    ? styled('green', 'This host can load that timebase.')
    : styled(
        'red',
        `This host cannot load that timebase as it should. Failed: ${failed.join(', ')}.`,
      )
  console.log(options.json ? json({ backend, ok, checks }) : `${checkLines(checks)}\n\n${verdict}`)
  return ok ? 0 : 1
}

function checksOf(backend: Host['backend'], state: TimebaseState): Check[] {
  const found = backend === 'kvm' ? 'kvm: the real kernel' : 'software: a model of a POWER9 host'
  const first: Check = { name: 'backend', status: backend === 'kvm' ? 'ok' : 'note', found }
  let host: Host
  try {
    host = openHost({ backend })
  } catch (error) {
    return [first, checkRefusal(error)]
  }
  try {
    const sample = host.sample()
    return [
      first,
      checkFrequency(state, sample),
      ...checkRegisters(host, state),
      checkClocks(state, sample),
      checkClock("the source's clock", state.clock),
      checkClock("this host's clock", sample.clock),
    ]
  } catch (error) {
    return [first, failure('host', error, 'npx kvm-ppc-onereg info says what this host lacks')]
  } finally {
    host.close()
  }
}

function checkFrequency({ timebaseFrequency: wanted }: TimebaseState, here: TimebaseSample): Check {
  const name = 'frequency'
  if (wanted === here.timebaseFrequency) {
    return { name, status: 'ok', found: `${grouped(wanted)} Hz, as on the source` }
  }
  return {
    name,
    status: 'failed',
    found: `${grouped(here.timebaseFrequency)} Hz, and the guest has ${grouped(wanted)} Hz`,
    remedy: 'choose a host of the same frequency: a guest cannot change it while it runs',
  }
}

/** The time registers that the state has, on a new vCPU of this host. */
function checkRegisters(host: Host, state: TimebaseState): Check[] {
  using vm = host.createVm()
  using vcpu = vm.createVcpu(0)
  return [
    checkTimebaseOffset(vcpu),
    ...timeRegisters.flatMap((row) => checkSaved(vcpu, state, row)),
  ]
}

function checkSaved(
  vcpu: Vcpu,
  { vcpus }: TimebaseState,
  { name, field }: (typeof timeRegisters)[number],
): Check[] {
  if (field === undefined) return []
  const number = vcpus.filter((timers) => timers[field] !== undefined).length
  if (number === 0) return []
  const saved = number === 1 ? 'saved for one vCPU' : `saved for ${number} vCPUs`
  if (vcpu.has(name)) return [{ name, status: 'ok', found: `${saved}, and this kernel has it` }]
  return [
    {
      name,
      status: 'warning',
      found: `${saved}, and this kernel lacks it: a load leaves it out`,
      remedy: 'use a kernel as new as that of the source',
    },
  ]
}

/** Whether this host's wall clock is behind the instant of the save. */
function checkClocks(state: TimebaseState, here: TimebaseSample): Check {
  const name = 'time since the save'
  const passedNs = here.timeOfDayNs - state.timeOfDayNs
  const uncertaintyNs = state.uncertaintyNs + here.uncertaintyNs
  const savedAt = `it was saved at ${timeOfDay(state.timeOfDayNs)}`
  if (passedNs >= -uncertaintyNs) {
    return { name, status: 'ok', found: `${seconds(passedNs)}: ${savedAt}` }
  }
  return {
    name,
    status: 'failed',
    found: `this wall clock is ${seconds(-passedNs)} behind: ${savedAt}`,
    remedy: "synchronise both hosts' clocks, or the pause does not count for the guest",
  }
}

function checkClock(name: string, clock: WallClock | undefined): Check {
  if (clock === undefined)
    return { name, status: 'note', found: 'whether it is right is not known' }
  const { synchronised, maxErrorNs } = clock
  if (synchronised) {
    const found = `synchronised, wrong by ${(Number(maxErrorNs) / 1e6).toFixed(1)} ms at most`
    return { name, status: 'ok', found }
  }
  return {
    name,
    status: 'warning',
    found: "not synchronised: its error becomes an error of the guest's time",
    remedy: "run chronyd, ntpd or systemd-timesyncd there, or load with downtime: 'freeze'",
  }
}

function seconds(ns: bigint): string {
  return `${(Number(ns) / 1e9).toFixed(3)} s`
}
