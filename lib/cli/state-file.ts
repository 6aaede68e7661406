import { parseTimebase, STATE_TEXT_LIMIT } from '../timebase/state.ts'
import type { TimebaseState } from '../timebase/state.ts'
import { openInput, readAll, textOf } from './input.ts'

/** Reads a timebase that `serializeTimebase` saved, from a file or for `-` from standard input. */
export async function readState(file: string): Promise<TimebaseState> {
  return parseTimebase(textOf(await readAll(await openInput(file), STATE_TEXT_LIMIT)))
}
