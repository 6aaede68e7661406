import { VALUE_BYTES } from '../kernel/batch.ts'
import type { OneRegBatch } from '../kernel/batch.ts'
import { checkWidth, lookUp } from '../register-values.ts'
import type { AnyRegisterValue } from '../register-values.ts'
import type { RegisterWidth } from '../registers.ts'

/**
 * Checks a value and puts it, with its register's id, into one entry of a batch.
 *
 * @throws TypeError, RangeError
 */
export function putValue(batch: OneRegBatch, index: number, name: string, value: unknown): void {
  const { id, width } = lookUp(name)
  putChecked(batch, index, name, value, width)
  batch.ids[index] = id
}

/**
 * Checks a value and puts it into one entry of a batch; the entry's id is left as it is.
 *
 * @throws TypeError, RangeError
 */
export function putChecked(
  batch: OneRegBatch,
  index: number,
  name: string,
  value: unknown,
  width: RegisterWidth,
): void {
  const checked = checkWidth(name, value, width)
  if (typeof checked === 'bigint') batch.set64(index, checked)
  else if (typeof checked === 'number') batch.set32(index, checked)
  else batch.values.set(checked, index * VALUE_BYTES)
}

/** The value in one entry of a batch; 128 bits as a copy. */
export function takeValue(
  batch: OneRegBatch,
  index: number,
  width: RegisterWidth,
): AnyRegisterValue {
  switch (width) {
    case 64:
      return batch.get64(index)
    case 32:
      return batch.get32(index)
    case 128:
      return batch.values.slice(index * VALUE_BYTES, (index + 1) * VALUE_BYTES)
  }
}
