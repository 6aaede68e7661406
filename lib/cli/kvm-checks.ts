import { KvmError, OneRegError } from '../errors.ts'
import type { Host } from '../kvm/host.ts'
import { registerNames } from '../registers.ts'
import { TIMEBASE_OFFSET_STEP } from '../timebase/plan.ts'
import type { TimebaseSample } from '../kvm/system.ts'
import type { Vcpu } from '../kvm/vcpu.ts'
import type { Check } from './check.ts'
import { grouped, seconds, timeOfDay } from './print.ts'

/** What a KVM, or the model of it, says of itself and does on a vCPU that nothing runs. */

const HV_ONLY =
  'a move needs HV KVM: modprobe kvm_hv on a POWER7 or later, with Linux 3.13 or later'

/** Why a host could not be opened: the device, its KVM_CAP_ONE_REG or the addon. */
export function checkRefusal(error: unknown): Check {
  if (!(error instanceof OneRegError)) throw error
  const { cause, message } = error
  const isDevice = cause instanceof KvmError && cause.operation === 'open'
  const isAddon = cause !== undefined && !(cause instanceof KvmError)
  const name = isAddon ? 'native addon' : isDevice ? '/dev/kvm' : 'KVM_CAP_ONE_REG'
  // The message says what to do.
  return { name, status: 'failed', found: message }
}

/** @param sample the host's, or why there is none */
export function checkHost(host: Host, sample: TimebaseSample | Error): Check[] {
  const opened = host.backend === 'kvm' ? 'opened for reading and writing' : "the model's own"
  return [
    { name: '/dev/kvm', status: 'ok', found: opened },
    // Without it the host could not be opened.
    { name: 'KVM_CAP_ONE_REG', status: 'ok', found: 'yes' },
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

function checkTimebaseOffset(vcpu: Vcpu): Check {
  const name = 'TB_OFFSET'
  if (!vcpu.has(name)) return { name, status: 'failed', found: 'missing', remedy: HV_ONLY }
  vcpu.set(name, 1n)
  const held = vcpu.get(name)
  if (held === TIMEBASE_OFFSET_STEP) {
    const found = `works: 1 is kept as ${grouped(held)}, the next multiple of 2^24`
    return { name, status: 'ok', found }
  }
  return {
    name,
    status: 'failed',
    found: `broken: 1 is kept as ${grouped(held)}, not as ${grouped(TIMEBASE_OFFSET_STEP)}`,
    remedy: 'use another processor or kernel: POWER9 DD1 takes the offset and ignores it',
  }
}

function checkDecExpiry(vcpu: Vcpu): Check {
  const name = 'DEC_EXPIRY'
  if (vcpu.has(name)) return { name, status: 'ok', found: 'there: decrementers move with a guest' }
  const found = 'missing: a guest that moves loses the tick that it waits for'
  return { name, status: 'warning', found, remedy: 'use Linux 4.16 or later on both hosts' }
}

/** A call to KVM that went wrong; anything else is a mistake of ours. */
function failure(name: string, error: unknown, remedy: string): Check {
  if (!(error instanceof KvmError || error instanceof OneRegError)) throw error
  return { name, status: 'failed', found: error.message, remedy }
}
