import { expect } from 'vitest'
import { instructionClockVariable } from '../../support/emulated.ts'

/** Instants in ticks of the guest's timebase. */
export interface When {
  readonly from: bigint
  readonly before: bigint
  /** Where the clock does not count instructions. */
  readonly elsewhereFrom: bigint
}

/**
 * Expects that the guest saw its interrupt from one instant on and before another. This can be asked for
 * where the clock counts instructions, so that it is the same in each run.
 *
 * Elsewhere there is only a lower bound, and a wider one. The kernel reads the timebase, the decrementer and the clock
 * of a vCPU one after the other as it enters and leaves the guest, and adds the differences to its expiry
 * (kvmhv_vcpu_entry_p9 in arch/powerpc/kvm/book3s_hv_p9_entry.c). When the emulator's thread has to wait
 * for a processor between two of these, also a guest that was never stopped sees its interrupt up to
 * 50 ms early and 100 ms late: measured on powernv9 on a machine with eight runnable threads for two
 * processors.
 */
export function expectWhen(at: bigint, { from, before, elsewhereFrom }: When): void {
  const isCounted = process.env[instructionClockVariable] === '1'
  expect(at).toBeGreaterThanOrEqual(isCounted ? from : elsewhereFrom)
  if (isCounted) expect(at).toBeLessThan(before)
}
