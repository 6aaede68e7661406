/** LPCR[LD]: the guest's decrementer is a large one (POWER9 and later). */
const LPCR_LD = 0x0002_0000n

/** How wide DEC is: a large decrementer of POWER9 and POWER10 has 56 bits. */
const SMALL_DEC = 32
const LARGE_DEC = 56

/**
 * In how many ticks the decrementer of a vCPU that enters the guest now fires on a bare-metal host; 0n
 * if it does so at once.
 *
 * On entry the kernel writes `expiry - guest timebase` to DEC, and DEC takes the low 32 bits of it unless
 * LPCR[LD] is set (kvmhv_vcpu_entry_p9 in arch/powerpc/kvm/book3s_hv_p9_entry.c, and on POWER8
 * book3s_hv_rmhandlers.S). The interrupt is there while the top bit is set.
 * So an expiry between 2^31 and 2^32 ticks in the past counts as one that is still to come, and one as far
 * ahead as one that is due. On leaving the guest the kernel extends the sign of these 32 bits, so that the
 * register holds the wrong expiry from then on.
 *
 * @param decExpiry DEC_EXPIRY, in ticks of the guest's timebase, u64
 * @param guestTimebase what the guest reads when it is entered, in ticks, u64
 * @param lpcr LPCR_64
 */
export function ticksToDecrementer(decExpiry: bigint, guestTimebase: bigint, lpcr: bigint): bigint {
  const width = (lpcr & LPCR_LD) === 0n ? SMALL_DEC : LARGE_DEC
  const dec = BigInt.asIntN(width, decExpiry - guestTimebase)
  return dec > 0n ? dec : 0n
}
