import { stateFormat } from '../errors.ts'
import { isObject, readText } from '../state-text.ts'
import type { TextFormat } from '../state-text.ts'
import { openInput, readAll, textOf } from './input.ts'
import { DOCUMENT_VERSION, printable } from './print.ts'

/** The document of `registers --json`. A list of all registers with values has 60,000 characters. */
export const LIST_FORMAT: TextFormat = {
  format: 'kvm-ppc-onereg/register-list',
  what: 'list of registers',
  version: DOCUMENT_VERSION,
  limit: 1024 * 1024,
}

/** The answer of a host for one register: a value in the form of the document, or the name of an error. */
export type ListedAnswer =
  { readonly value: string | number; readonly width: number } | { readonly error: string }

/** The answers of a host, from a document of `registers --probe --json`. */
export interface ProbedList {
  /** The machine, for people; empty if the document does not name it. */
  readonly machine: string
  readonly answers: ReadonlyMap<string, ListedAnswer>
}

/**
 * Reads a document of `registers --probe --json`, from a file or for `-` from standard input. Properties that
 * this release does not know are ignored, since a later one may add some.
 *
 * @throws OneRegError ERR_STATE_FORMAT, ERR_STATE_VERSION
 */
export async function readProbedList(file: string): Promise<ProbedList> {
  const { limit } = LIST_FORMAT
  const json = readText(textOf(await readAll(await openInput(file), limit)), LIST_FORMAT)
  const { registers, machine } = json
  if (!Array.isArray(registers)) throw stateFormat('The field "registers" must be an array')
  const answers = registers.map((row: unknown, index) => answerIn(row, `registers[${index}]`))
  return {
    machine: typeof machine === 'string' ? printable(machine) : '',
    answers: new Map(answers),
  }
}

function answerIn(row: unknown, path: string): [name: string, answer: ListedAnswer] {
  if (!isObject(row)) throw stateFormat(`${path} must be an object`)
  const { name, width, value, error } = row
  if (!isWord(name)) throw stateFormat(`The field "${path}.name" must be the name of a register`)
  if (isWord(error)) return [name, { error }]
  if (isValue(value, width)) return [name, { value, width: width as number }]
  if (value === undefined) {
    throw stateFormat(
      `${path} has neither a value nor an error: make the list with registers --probe --json`,
    )
  }
  throw stateFormat(`The field "${path}.value" must be the value of a register of "width" bits`)
}

function isWord(value: unknown): value is string {
  return typeof value === 'string' && /^\w{1,40}$/.test(value)
}

function isValue(value: unknown, width: unknown): value is string | number {
  if (width === 32) return typeof value === 'number' && value === value >>> 0
  if (typeof value !== 'string') return false
  return width === 64 ? /^\d{1,20}$/.test(value) : width === 128 && /^[\da-f]{32}$/.test(value)
}
