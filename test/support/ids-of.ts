import { NO_REGISTER } from '../../lib/kernel/batch.ts'
import type { OneRegBatch } from '../../lib/kernel/batch.ts'

/** The ids of the registers that a kernel is called for with a batch, in order. */
export function idsOf({ ids, used }: OneRegBatch): bigint[] {
  return [...ids.subarray(0, used)].filter((id) => id !== NO_REGISTER)
}
