import { inspect, types } from 'node:util'
import type { Addon, BoundCalls } from '../../../lib/kernel/addon.ts'
import { ran } from './hostile.ts'
import type { Row } from './pools.ts'
import { smallArray, verdict } from './rules.ts'

export type Outcome = 'refused' | 'taken'

/**
 * Makes a call, and sees that it comes to what it must: an error of ours for what is wrong, before
 * anything was done, and otherwise a result; for a call off the thread, a promise of it.
 */
export function abuse(
  addon: Addon,
  name: keyof Addon,
  given: readonly unknown[],
): Outcome | Promise<Outcome> {
  const wanted = verdict(name, given)
  const bytes = given.map(smallArray)
  const before = bytes.map((bytes) => bytes && Buffer.from(bytes))
  const call = Reflect.get(addon, name) as (...given: unknown[]) => unknown
  let result: unknown
  try {
    result = call(...given)
  } catch (error) {
    if (wanted === 'right' || !isOurs(error, wanted)) throw error
    if (!before.every((was, index) => was?.equals(bytes[index] ?? was) ?? true)) {
      throw new Error('bytes were changed by a call that was refused', { cause: error })
    }
    mustHaveRunNothing()
    return 'refused'
  }
  mustHaveRunNothing()
  if (wanted !== 'right') throw new Error(`taken, and not refused for ${wanted}`)
  if (types.isPromise(result)) return result.then((result) => taken(addon, name, result))
  return taken(addon, name, result)
}

function isOurs(error: unknown, wanted: 'type' | 'range'): boolean {
  const [kind, code] =
    wanted === 'type' ? [TypeError, 'ERR_INVALID_ARG_TYPE'] : [RangeError, 'ERR_OUT_OF_RANGE']
  return error instanceof kind && 'code' in error && error.code === code
}

/** Nothing of what hostile.ts hands in is ever run by a call. */
function mustHaveRunNothing(): void {
  if (ran.length > 0) throw new Error(`JavaScript was run: ${ran.splice(0).join()}`)
}

/** Calls what was bound, and closes what was opened. */
function taken(addon: Addon, name: keyof Addon, result: unknown): Outcome {
  if (name === 'bindBatch') {
    callFor(addon, result as { index: number })
  } else if (name === 'bindCalls') {
    for (const call of Object.values(result as BoundCalls) as (() => unknown)[]) call()
  } else if (!Number.isInteger(result)) {
    throw new Error(`gave ${inspect(result)}`)
  } else if (name.endsWith('Async') && result !== 0) {
    throw new Error(`no thread could be had: ${inspect(result)}`)
  } else if (name === 'open' && Number(result) >= 0) {
    addon.close(Number(result))
  }
  return 'taken'
}

/** Makes the calls of a table, and tells how many were refused. */
export async function makeAll(addon: Addon, rows: readonly Row[]): Promise<number> {
  let refused = 0
  for (const { name, what, given } of rows) {
    try {
      if ((await abuse(addon, name, given())) === 'refused') refused++
    } catch (error) {
      throw new Error(`${name}, ${what}`, { cause: error })
    }
  }
  return refused
}

/** Both calls for a batch that was bound. */
export function callFor(addon: Addon, { index }: { readonly index: number }): void {
  const words = new BigUint64Array(new SharedArrayBuffer(32))
  words[3] = BigInt(index)
  const { getOneRegs, setOneRegs } = addon.bindCalls(words)
  getOneRegs()
  setOneRegs()
}
