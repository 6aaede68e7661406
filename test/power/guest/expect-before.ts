import { expect } from 'vitest'
import { instructionClockVariable } from '../../support/emulated.ts'

/**
 * Expects that something happened before an instant, both in ticks. When a guest sees its interrupt
 * depends on when it is given a processor, so this is checked only where the clock counts
 * instructions: there it is the same in each run, however busy the machine is.
 */
export function expectBefore(at: bigint, limit: bigint): void {
  if (process.env[instructionClockVariable] === '1') expect(at).toBeLessThan(limit)
}
