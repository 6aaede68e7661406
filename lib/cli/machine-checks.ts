import { existsSync } from 'node:fs'
import path from 'node:path'
import { errnoName } from '../errno.ts'
import { NativeKernel } from '../kernel/native.ts'
import { wallClockOf } from '../kernel/wall-clock.ts'
import { isPartition, processorName } from '../kvm/this-machine.ts'
import type { Check } from './check.ts'

/** The checks of this machine that do not need KVM. */

const OLDEST_POWER = 7

const FREEZE = "downtime: 'freeze' does not use the clocks"

/** @param root the folder that contains `proc` and `sys`; not `/` in tests */
export function checkProcessor(root = '/', arch: string = process.arch): Check {
  const name = 'processor'
  if (arch !== 'ppc64') {
    return {
      name,
      status: 'failed',
      found: `${arch}, which has no timebase; only POWER has one`,
      remedy:
        'use a POWER host; without one, npm run power emulates one in a clone of the project, and KVM_PPC_BACKEND=software uses the model',
    }
  }
  const cpu = processorName(root)
  const generation = /^POWER(\d+)/i.exec(cpu ?? '')?.[1]
  if (cpu === undefined || generation === undefined) {
    return {
      name,
      status: 'warning',
      found: `${cpu ?? 'not named in /proc/cpuinfo'}: whether it can move a timebase is not known`,
      remedy: `see whether TB_OFFSET works below; POWER${OLDEST_POWER} and later have it`,
    }
  }
  if (Number(generation) < OLDEST_POWER) {
    const remedy = `use a host with POWER${OLDEST_POWER} or later`
    return { name, status: 'failed', found: `${cpu}: KVM has no TB_OFFSET on it`, remedy }
  }
  return { name, status: 'ok', found: cpu }
}

/** Checks which KVM module is loaded: only HV KVM has TB_OFFSET. */
export function checkModule(root = '/'): Check {
  const name = 'kernel module'
  const loaded = (module: string) => existsSync(path.join(root, 'sys/module', module))
  const inPartition = isPartition(root)
  if (loaded('kvm_hv')) {
    const where = inPartition
      ? 'in a logical partition: guests are nested ones'
      : 'on bare metal: guests are not nested'
    return { name, status: 'ok', found: `kvm_hv, ${where}` }
  }
  const remedy = inPartition
    ? 'modprobe kvm_hv; in a logical partition the hypervisor below must allow nested guests (KVM: cap-nested-hv=on; PowerVM: Linux 6.7 and firmware FW1060.10, see docs/powervm.md)'
    : 'modprobe kvm_hv'
  return loaded('kvm_pr')
    ? { name, status: 'failed', found: 'kvm_pr alone, which has no TB_OFFSET', remedy }
    : { name, status: 'failed', found: 'kvm_hv is not loaded', remedy }
}

/** Checks whether the wall clock is synchronised, since `downtime: 'advance'` compares wall clocks. */
export function checkWallClock(
  load: () => Pick<NativeKernel, 'clockState'> = () => new NativeKernel(),
): Check {
  const name = 'wall clock'
  const maxErrorUs = new BigUint64Array(1)
  let state: number
  try {
    state = load().clockState(maxErrorUs)
  } catch {
    const found = 'not known whether it is synchronised: that needs the native addon'
    return { name, status: 'note', found }
  }
  const clock = wallClockOf(state, maxErrorUs[0] ?? 0n)
  if (clock === undefined) {
    const found = `not known whether it is synchronised: adjtimex fails with ${errnoName(state)}`
    return { name, status: 'note', found }
  }
  if (!clock.synchronised) {
    return {
      name,
      status: 'warning',
      found:
        "not synchronised (adjtimex): with downtime: 'advance' its error becomes an error of the guest's clock",
      remedy: `run chronyd, ntpd or systemd-timesyncd; ${FREEZE}`,
    }
  }
  const found = `synchronised, wrong by ${(Number(clock.maxErrorNs) / 1e6).toFixed(1)} ms at most (adjtimex)`
  return { name, status: 'ok', found }
}
