import { describe } from 'vitest'
import type { Kernel } from '../../../lib/kernel/kernel.ts'
import { checkArguments } from './arguments.ts'
import { checkBatches } from './batches.ts'
import { checkClock } from './clock.ts'
import { checkFiles } from './files.ts'
import type { Kind } from './measured.ts'
import { checkRegisters } from './registers.ts'
import { checkOn } from './rig.ts'
import { checkTimebaseOffset } from './timebase-offset.ts'

/**
 * The tests that every implementation of `Kernel` must pass: the software model on any machine, and the real
 * kernel on a POWER host. The values are those of KVM-HV on the machines and Linux versions that were measured.
 * If the model differs from such a kernel, the model has a bug.
 */
export function describeKernel(makeKernel: () => Kernel, kind: Kind): void {
  const check = checkOn(makeKernel)
  describeMachine(makeKernel, kind)
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

/** The tests whose results differ from one kind of host to another. */
export function describeMachine(makeKernel: () => Kernel, kind: Kind): void {
  const check = checkOn(makeKernel)
  describe('its files', () => {
    checkFiles(check, kind)
  })
  describe('its registers', () => {
    checkRegisters(check, kind)
  })
}
