import type { Host } from '../../../lib/host.ts'
import type { Vcpu } from '../../../lib/vcpu.ts'

/**
 * What QEMU does when it stops and continues a guest (hw/ppc/ppc.c, timebase_save and timebase_load):
 * it remembers the offset that it asked for, while the kernel has rounded it up.
 */
export class QemuTimebase {
  #offset = 0n

  /** The guest's timebase as it takes it to be. */
  save(host: Host): bigint {
    return BigInt.asUintN(64, host.timebase() + this.#offset)
  }

  load(host: Host, vcpus: readonly Vcpu[], guestTimebase: bigint): void {
    this.#offset = BigInt.asUintN(64, guestTimebase - host.timebase())
    for (const vcpu of vcpus) vcpu.set('TB_OFFSET', this.#offset)
  }
}
