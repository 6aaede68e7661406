import type { Host } from '../../../lib/kvm/host.ts'
import type { Vcpu } from '../../../lib/kvm/vcpu.ts'

/**
 * Saves and loads a timebase like QEMU when it stops and continues a guest (hw/ppc/ppc.c, timebase_save and
 * timebase_load): it remembers the offset that it asked for, although the kernel has rounded that up.
 */
export class QemuTimebase {
  #offset = 0n

  /** The guest's timebase as it takes it to be, and the host's. */
  save(host: Host): { guestTimebase: bigint; hostTimebase: bigint } {
    const hostTimebase = host.timebase()
    return { guestTimebase: BigInt.asUintN(64, hostTimebase + this.#offset), hostTimebase }
  }

  /** Gives the host's timebase for which it chose the offset. */
  load(host: Host, vcpus: readonly Vcpu[], guestTimebase: bigint): bigint {
    const hostTimebase = host.timebase()
    this.#offset = BigInt.asUintN(64, guestTimebase - hostTimebase)
    for (const vcpu of vcpus) vcpu.set('TB_OFFSET', this.#offset)
    return hostTimebase
  }
}
