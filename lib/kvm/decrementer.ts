/**
 * The DEC_EXPIRY to write for a guest that goes on at `guestTimebase`: an expiry that has passed becomes
 * the present, since the kernel keeps the decrementer in 32 bits unless LPCR[LD] is set. With an expiry
 * more than 2^31 ticks in the past (4.2 s at 512 MHz) the interrupt would come up to 2^31 ticks late
 * (kvmhv_vcpu_entry_p9 in arch/powerpc/kvm/book3s_hv_p9_entry.c; book3s_hv_rmhandlers.S on POWER8).
 *
 * An expiry ahead is written as it is, however far: cut to 32 bits it fires early, and the guest, which
 * finds that its timer is not due, arms the decrementer again.
 *
 * @param decExpiry in ticks of the guest's timebase, u64
 * @param guestTimebase in ticks, u64
 */
export function expiryToWrite(decExpiry: bigint, guestTimebase: bigint): bigint {
  return BigInt.asIntN(64, decExpiry - guestTimebase) < 0n ? guestTimebase : decExpiry
}
