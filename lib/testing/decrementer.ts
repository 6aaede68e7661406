import { ticksToDecrementer as ticksOf } from '../kernel/software/decrementer.ts'
import type { Vcpu } from '../kvm/vcpu.ts'

/**
 * The number of ticks until the decrementer of a stopped vCPU would fire if the vCPU went on now on a
 * bare-metal POWER host; 0n if it would fire at once.
 *
 * Such a host keeps the decrementer in 32 bits unless LPCR[LD] is set. So a DEC_EXPIRY from 2^31 to 2^32
 * ticks in the past (4.2 to 8.4 s at 512 MHz) fires only when 2^32 ticks have passed since then, and one as
 * far in the future fires at once. `loadTimebase` never writes an expiry in the past. A monitor that writes
 * the register itself can use this function to check that its guest's timers do not fire late:
 *
 *     expect(ticksToDecrementer(vcpu)).toBe(0n)
 *
 * It reads the registers of the vCPU and its host's timebase, so it works on the model and on real KVM. Its
 * result is not valid in a partition (KVM in an LPAR), where a decrementer always fires at its expiry.
 *
 * @param vcpu a stopped vCPU
 * @throws OneRegError ERR_KVM_CLOSED, ERR_KVM_UNAVAILABLE; KvmError if the vCPU lacks DEC_EXPIRY
 * @example
 * ```ts
 * const ticks = ticksToDecrementer(vcpu)
 * ```
 * @group Two hosts
 */
export function ticksToDecrementer(vcpu: Vcpu): bigint {
  const { DEC_EXPIRY, TB_OFFSET, LPCR_64 } = vcpu.read(['DEC_EXPIRY', 'TB_OFFSET', 'LPCR_64'])
  return ticksOf(DEC_EXPIRY, BigInt.asUintN(64, vcpu.host.timebase() + TB_OFFSET), LPCR_64)
}
