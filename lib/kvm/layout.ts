import type { OneRegBatch } from '../kernel/batch.ts'
import { checkObject } from '../checks.ts'
import { putChecked, takeValue } from './entries.ts'
import { lookUp } from '../register-values.ts'
import type { AnyRegisterValue } from '../register-values.ts'
import type { RegisterName, RegisterValue, RegisterValues, RegisterWidth } from '../registers.ts'

/** The registers of a call, looked up in the table, in the order of the batch's entries. */
export interface Layout<N extends RegisterName = RegisterName> {
  readonly names: readonly N[]
  readonly registers: readonly Placed<N>[]
  /** The ids, to be copied into a batch all at once. */
  readonly ids: BigUint64Array
}

interface Placed<N extends RegisterName> {
  readonly name: N
  readonly width: RegisterWidth
}

/** @throws TypeError for an unknown name */
export function layoutOf<N extends RegisterName>(names: readonly N[]): Layout<N> {
  const ids = new BigUint64Array(names.length)
  const registers = names.map((name, index) => {
    const { id, width } = lookUp(name)
    ids[index] = id
    return { name, width }
  })
  return { names, registers, ids }
}

/** Keeps the layout of the last call, since a program asks for the same registers again and again. */
export class LastLayout {
  readonly #inOrder: (names: readonly RegisterName[]) => readonly RegisterName[]
  #asked: readonly RegisterName[] = []
  #layout: Layout = layoutOf([])

  /** @param inOrder brings the names into the order in which they are wanted */
  constructor(inOrder = (names: readonly RegisterName[]) => names) {
    this.#inOrder = inOrder
  }

  /**
   * @param names an array that its owner does not change
   * @throws TypeError for an unknown name
   */
  of<N extends RegisterName>(names: readonly N[]): Layout<N> {
    if (!areEqual(names, this.#asked)) {
      this.#layout = layoutOf(this.#inOrder(names))
      this.#asked = names
    }
    return this.#layout as Layout<N>
  }
}

function areEqual(a: readonly unknown[], b: readonly unknown[]): boolean {
  if (a.length !== b.length) return false
  for (let index = 0; index < a.length; index++) {
    if (a[index] !== b[index]) return false
  }
  return true
}

/**
 * The names of an object's properties.
 *
 * @param what the object's name, for the error
 * @throws TypeError
 */
export function namesIn(what: string, values: RegisterValues): RegisterName[] {
  return Object.keys(checkObject(what, values)) as RegisterName[]
}

/**
 * Puts the properties of an object into a batch, each read once and checked.
 *
 * @param layout that of the object's properties
 * @throws TypeError, RangeError
 */
export function putValues(batch: OneRegBatch, layout: Layout, values: RegisterValues): void {
  const given: Readonly<Record<string, unknown>> = values
  batch.ids.set(layout.ids)
  let index = 0
  for (const { name, width } of layout.registers) {
    putChecked(batch, index++, name, given[name], width)
  }
}

/** The values in the first entries of a batch, by the names of their registers. */
export function takeValues<N extends RegisterName>(
  batch: OneRegBatch,
  layout: Layout<N>,
): { [K in N]: RegisterValue<K> } {
  const values: Partial<Record<RegisterName, AnyRegisterValue>> = {}
  // Not with Object.fromEntries, which takes some 1,000 instructions for each.
  layout.registers.forEach(({ name, width }, index) => {
    values[name] = takeValue(batch, index, width)
  })
  return values as { [K in N]: RegisterValue<K> }
}
