import type { Addon } from '../../../lib/kernel/addon.ts'
import { emulated } from '../../support/emulated.ts'
import { arrays, bigints, impostors, numbers, strings } from './hostile.ts'
import type { Make } from './hostile.ts'
import { parameters } from './rules.ts'

export const names = Object.keys(parameters) as (keyof Addon)[]

/** Everything that is small. */
export const hostile: Readonly<Record<string, Make>> = {
  ...impostors,
  ...numbers,
  ...bigints,
  ...strings,
  ...arrays,
}

/** A file descriptor that no file has. */
const NO_FD = 2_000_000_000

const TB_OFFSET = 0x1030_0000_0000_009cn

/** Arguments that are right, and do nothing. */
export function harmless(name: keyof Addon): unknown[] {
  switch (name) {
    case 'open':
      return ['/nonexistent/abuse']
    case 'close':
    case 'fileId':
      return [NO_FD]
    case 'checkExtension':
    case 'createVm':
    case 'createVcpu':
      return [NO_FD, 0]
    case 'getOneReg':
    case 'setOneReg':
      return [NO_FD, TB_OFFSET, new Uint8Array(8).fill(0xa5)]
    case 'bindBatch':
    case 'getOneRegsAsync':
    case 'setOneRegsAsync':
      return [new Uint8Array(new SharedArrayBuffer(72)).fill(0xa5)]
    case 'bindCalls':
      return [new BigUint64Array(new SharedArrayBuffer(32))]
  }
}

/** One row of the table: a call in which one argument is hostile, or their number is wrong. */
export interface Row {
  readonly name: keyof Addon
  readonly what: string
  readonly given: () => unknown[]
}

/** On an emulated processor one in so many: there it takes a hundred times as long. */
const SHARE = emulated ? 13 : 1

/** Each function with each of these values for each parameter, and with every wrong number of them. */
export function table(values: Readonly<Record<string, Make>>): Row[] {
  return names.flatMap((name) => {
    const count = parameters[name].length
    const rows = Object.entries(values).flatMap(([what, make]) =>
      Array.from({ length: count }, (_, at): Row => ({
        name,
        what: `argument ${at + 1}: ${what}`,
        given: () => harmless(name).toSpliced(at, 1, make()),
      })),
    )
    const counts = Array.from({ length: count + 3 }, (_, given): Row => ({
      name,
      what: `${given} arguments`,
      given: () => [...harmless(name), undefined, 0, {}].slice(0, given),
    }))
    const very = {
      name,
      what: '60000 arguments',
      given: () => new Array<unknown>(60_000).fill(NO_FD),
    }
    return [...rows.filter((_, index) => index % SHARE === 0), ...counts, very]
  })
}
