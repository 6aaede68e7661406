import { VALUE_BYTES } from '../kernel/batch.ts'
import type { OneRegBatch } from '../kernel/batch.ts'
import { checkWidth, lookUp } from '../register-values.ts'
import type { AnyRegisterValue, Entries } from '../register-values.ts'
import type { RegisterName, RegisterValue, RegisterWidth } from '../registers.ts'

/** Puts the ids of registers into a batch, one an entry, in the order of the names. */
export function putNames(batch: OneRegBatch, names: readonly RegisterName[]): void {
  for (let index = 0; index < names.length; index++) {
    batch.ids[index] = lookUp(names[index]).id
  }
}

/** Puts registers and their values into a batch, one an entry, in the order given. */
export function putEntries(batch: OneRegBatch, entries: Entries): void {
  entries.forEach(([name, value], index) => {
    putValue(batch, index, name, value)
  })
}

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
  putKnown(batch, index, checkWidth(name, value, width))
}

/** Puts a value that has been checked into one entry of a batch; the entry's id is left as it is. */
export function putKnown(batch: OneRegBatch, index: number, value: AnyRegisterValue): void {
  if (typeof value === 'bigint') batch.set64(index, value)
  else if (typeof value === 'number') batch.set32(index, value)
  else batch.values.set(value, index * VALUE_BYTES)
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

/** The values in the first entries of a batch, by the names of their registers. */
export function takeValues<N extends RegisterName>(
  batch: OneRegBatch,
  names: readonly N[],
): { [K in N]: RegisterValue<K> } {
  const values: Partial<Record<RegisterName, AnyRegisterValue>> = {}
  // Not with Object.fromEntries, which takes some 1,000 instructions for each.
  names.forEach((name, index) => {
    values[name] = takeValue(batch, index, lookUp(name).width)
  })
  return values as { [K in N]: RegisterValue<K> }
}
