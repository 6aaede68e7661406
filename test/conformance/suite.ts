import { describe } from 'vitest'
import type { Kernel } from '../../lib/kernel.ts'
import { checkArguments } from './arguments.ts'
import { checkBatches } from './batches.ts'
import { checkClock } from './clock.ts'
import { checkFiles } from './files.ts'
import { checkRegisters } from './registers.ts'
import { checkOn } from './rig.ts'
import { checkTimebaseOffset } from './timebaseOffset.ts'

/**
 * What every kernel behind the seam does: the software model anywhere, and the real one on a POWER
 * host. The values are those of Linux 6.12, KVM-HV, on POWER9: what the model does and that kernel
 * does not is a bug of the model.
 */
export function describeKernel(makeKernel: () => Kernel): void {
  const check = checkOn(makeKernel)
  describe('its files', () => {
    checkFiles(check)
  })
  describe('its registers', () => {
    checkRegisters(check)
  })
  describe('TB_OFFSET and DEC_EXPIRY', () => {
    checkTimebaseOffset(check)
  })
  describe('batches', () => {
    checkBatches(check)
  })
  describe('its clocks', () => {
    checkClock(check)
  })
  describe('wrong arguments', () => {
    checkArguments(makeKernel)
  })
}
