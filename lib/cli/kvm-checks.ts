import { KvmError, OneRegError } from '../errors.ts'
import type { Host } from '../kvm/host.ts'
import { registerNames } from '../registers.ts'
import { TIMEBASE_OFFSET_STEP } from '../timebase/plan.ts'
import type { TimebaseSample } from '../kvm/sample.ts'
import type { Vcpu } from '../kvm/vcpu.ts'
import type { Check } from './check.ts'
import { checkKind } from './kvm-kind.ts'
import type { KvmKind } from '../kvm/this-machine.ts'
import { grouped, seconds, timeOfDay } from './print.ts'

/** The checks of KVM, or of its model, which use a new vCPU that is never run. */

const HV_ONLY =
  'a move needs HV KVM: modprobe kvm_hv on a POWER7 or later, with Linux 3.13 or later'

/** The failed check for a host that could not be opened: the device, its KVM_CAP_ONE_REG or the addon. */
export function checkRefusal(error: unknown): Check {
  if (!(error instanceof OneRegError)) throw error
  const { cause, message } = error
  const isDevice = cause instanceof KvmError && cause.operation === 'open'
  const isAddon = cause !== undefined && !(cause instanceof KvmError)
  const name = isAddon ? 'native addon' : isDevice ? '/dev/kvm' : 'KVM_CAP_ONE_REG'
  // Without a remedy, since the message says what to do.
  return { name, status: 'failed', found: message }
}

/**
 * @param sample a sample of the host's clocks, or the error of taking it
 * @param kind the kind of KVM, or null if it is not known
 */
export function checkHost(
  host: Host,
  sample: TimebaseSample | Error,
  kind: KvmKind | null = null,
): Check[] {
  const opened = host.backend === 'kvm' ? 'opened for reading and writing' : "the model's own"
  return [
    { name: '/dev/kvm', status: 'ok', found: opened },
    // Without ONE_REG the host could not have been opened.
    { name: 'KVM_CAP_ONE_REG', status: 'ok', found: 'yes' },
    ...checkKind(host, kind),
    ...checkClocks(sample),
    ...checkRegisters(host),
  ]
}

function checkClocks(sample: TimebaseSample | Error): Check[] {
  if (sample instanceof Error) {
    return [failure('frequency', sample, 'use a POWER host, whose kernel tells it')]
  }
  const { timebase, timebaseFrequency, timeOfDayNs, uncertaintyNs } = sample
  const up = seconds(timebase, timebaseFrequency)
  return [
    { name: 'frequency', status: 'ok', found: `${grouped(timebaseFrequency)} Hz` },
    { name: 'timebase', status: 'ok', found: `${grouped(timebase)} ticks, ${up}` },
    {
      name: 'clock sample',
      status: 'ok',
      found: `that tick was at ${timeOfDay(timeOfDayNs)}, within ${grouped(uncertaintyNs)} ns`,
    },
  ]
}

function checkRegisters(host: Host): Check[] {
  try {
    using vm = host.createVm()
    using vcpu = vm.createVcpu(0)
    return [checkTimebaseOffset(vcpu), checkDecExpiry(vcpu), countRegisters(vcpu)]
  } catch (error) {
    return [failure('scratch vCPU', error, 'see what the kernel log says: dmesg')]
  }
}

function countRegisters(vcpu: Vcpu): Check {
  const name = 'registers'
  const readable = registerNames.filter((register) => vcpu.has(register)).length
  const found = `${readable} of ${registerNames.length} can be read`
  return { name, status: readable > 0 ? 'note' : 'failed', found }
}

export function checkTimebaseOffset(vcpu: Vcpu): Check {
  const name = 'TB_OFFSET'
  if (!vcpu.has(name)) return { name, status: 'failed', found: 'missing', remedy: HV_ONLY }
  vcpu.set(name, 1n)
  const held = vcpu.get(name)
  if (held === TIMEBASE_OFFSET_STEP) {
    const found = `works: 1 is rounded up to ${grouped(held)}, a whole step`
    return { name, status: 'ok', found }
  }
  return {
    name,
    status: 'failed',
    found: `broken: after 1 was written it is ${grouped(held)}, not ${grouped(TIMEBASE_OFFSET_STEP)}`,
    remedy: 'use another processor or kernel: POWER9 DD1 accepts the offset and ignores it',
  }
}

function checkDecExpiry(vcpu: Vcpu): Check {
  const name = 'DEC_EXPIRY'
  if (vcpu.has(name))
    return { name, status: 'ok', found: 'works: pending timers move with a guest' }
  const found = 'missing: a guest that moves loses its pending timer'
  return { name, status: 'warning', found, remedy: 'use Linux 4.16 or later on both hosts' }
}

/** The failed check for an error of KVM. Any other error is a bug of this library, and thrown. */
export function failure(name: string, error: unknown, remedy: string): Check {
  if (!(error instanceof KvmError || error instanceof OneRegError)) throw error
  return { name, status: 'failed', found: error.message, remedy }
}
