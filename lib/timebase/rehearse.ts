import { checkFromOne, checkObject, checkOptionNames, wrongType } from '../checks.ts'
import type { WallClock } from '../kernel/wall-clock.ts'
import { Host } from '../kvm/host.ts'
import { unpublished } from './channels.ts'
import { saveTimebase } from './save.ts'
import { STATE_VCPU_LIMIT } from './state.ts'
import type { TimebaseState } from './state.ts'
import { timeRegisters } from './timers.ts'
import type { TimerName } from './timers.ts'
import { warmUp } from './warm-up.ts'

/**
 * The options of {@link rehearse}.
 *
 * @group Moving the timebase
 */
export interface RehearseOptions {
  /** How many vCPUs the guest has that will be saved or loaded, from 1 to 16,384. The default is 1. */
  readonly vcpus?: number
}

/**
 * The result of {@link rehearse}.
 *
 * @group Moving the timebase
 */
export interface Rehearsal {
  /** Ticks per second of this host's timebase, in Hz. A state of another frequency cannot be loaded here. */
  readonly timebaseFrequency: bigint
  /** How far apart the instants can be at which the two clocks of a sample are read, in ns. */
  readonly uncertaintyNs: bigint
  /** How accurate the host's wall clock is, if its kernel tells it. */
  readonly clock?: WallClock
  /** The time registers that this kernel has; a load writes those of them that were saved. */
  readonly registers: readonly TimerName[]
  /** How often the scratch guest was saved and loaded. */
  readonly rounds: number
}

/**
 * Saves and loads the timebase of a scratch guest, again and again, for some tenths of a second. Call it before
 * the guest is stopped on the source, and on the destination before the state arrives: the first save and the
 * first load of a process take many times as long as later ones, because Node compiles the code while it runs,
 * and the guest stands still meanwhile.
 *
 * It is also a check: what a load needs of this kernel was used, TB_OFFSET written and read back, before a
 * guest depends on it. The scratch guest is a VM of its own with vCPUs that never run. It is closed at the end,
 * also after an error, and none of its saves and loads is published on the diagnostics channels.
 *
 *     await rehearse(host, { vcpus: vcpus.length })
 *
 * @param host the host, from {@link openHost}
 * @param options how many vCPUs the guest has
 * @throws OneRegError ERR_KVM_UNAVAILABLE if the kernel has no TB_OFFSET (Linux 3.13, HV KVM), or the machine no
 *   timebase; ERR_KVM_CLOSED
 * @throws TimebaseNotAppliedError if TB_OFFSET does not hold what was written
 * @throws KvmError if the kernel refuses a VM, or so many vCPUs
 * @throws TypeError, RangeError for a wrong argument
 * @example
 * ```ts
 * const { clock } = await rehearse(host, { vcpus: 16 })
 * ```
 * @group Moving the timebase
 */
export async function rehearse(host: Host, options: RehearseOptions = {}): Promise<Rehearsal> {
  if (!(host instanceof Host)) throw wrongType('host', 'a Host', host)
  checkOptionNames('options', checkObject('options', options), ['vcpus'])
  const { vcpus: count = 1 } = options
  checkFromOne('options.vcpus', count, STATE_VCPU_LIMIT)
  const vm = host.createVm()
  try {
    const vcpus = Array.from({ length: count }, (_, id) => vm.createVcpu(id))
    const rounds = await warmUp(vcpus)
    return { ...found(unpublished(() => saveTimebase(vcpus))), rounds }
  } finally {
    vm.close()
  }
}

function found(state: TimebaseState): Omit<Rehearsal, 'rounds'> {
  const { timebaseFrequency, uncertaintyNs, clock, vcpus } = state
  const has = ({ field }: (typeof timeRegisters)[number]): boolean =>
    field === undefined || vcpus.every((timers) => timers[field] !== undefined)
  return {
    timebaseFrequency,
    uncertaintyNs,
    ...(clock === undefined ? {} : { clock }),
    registers: timeRegisters.filter(has).map(({ name }) => name),
  }
}
