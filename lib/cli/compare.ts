import { timeRegisters } from '../timebase/timers.ts'
import { json, table } from './print.ts'
import { readProbedList } from './register-list.ts'
import type { ListedAnswer, ProbedList } from './register-list.ts'
import { heading, paragraph, styled } from './terminal.ts'

/**
 * A register for which two hosts gave different answers. It is `lost` if the destination lacks it or does not
 * list it, `added` if only the source does, and `value` if both have it with different values on a new vCPU.
 */
interface Difference {
  readonly name: string
  readonly kind: 'lost' | 'added' | 'value'
  readonly source?: ListedAnswer
  readonly destination?: ListedAnswer
}

/** The registers that hold another value at every moment. */
const counting = new Set<string>(timeRegisters.map(({ name }) => name))

/**
 * The command `compare`: what `registers --probe --json` printed on a source and on a destination.
 *
 * @returns 1 if the destination lacks a register that the source has
 */
export async function compareLists(
  files: { readonly source: string; readonly destination: string },
  options: { readonly json?: boolean },
): Promise<number> {
  const source = await readProbedList(files.source)
  const destination = await readProbedList(files.destination)
  const differences = differencesOf(source, destination)
  const ok = !differences.some(({ kind }) => kind === 'lost')
  console.log(
    options.json
      ? json({
          ok,
          source: { machine: source.machine, readable: readable(source) },
          destination: { machine: destination.machine, readable: readable(destination) },
          differences,
        })
      : inWords(source, destination, differences),
  )
  return ok ? 0 : 1
}

function differencesOf(source: ProbedList, destination: ProbedList): Difference[] {
  const names = new Set([...source.answers.keys(), ...destination.answers.keys()])
  return [...names].flatMap((name) => {
    const there = source.answers.get(name)
    const here = destination.answers.get(name)
    const kind = kindOf(name, there, here)
    if (kind === undefined) return []
    return [
      {
        name,
        kind,
        ...(there && { source: there }),
        ...(here && { destination: here }),
      },
    ]
  })
}

function kindOf(
  name: string,
  source: ListedAnswer | undefined,
  destination: ListedAnswer | undefined,
): Difference['kind'] | undefined {
  const there = source !== undefined && 'value' in source ? source.value : undefined
  const here = destination !== undefined && 'value' in destination ? destination.value : undefined
  if (here === undefined) return there === undefined ? undefined : 'lost'
  if (there === undefined) return 'added'
  return there === here || counting.has(name) ? undefined : 'value'
}

function readable({ answers }: ProbedList): number {
  return [...answers.values()].filter((answer) => 'value' in answer).length
}

const verdicts = {
  lost: () => styled('red', 'the destination lacks it: what the guest keeps there is lost'),
  added: () => 'the guest does not know it: it keeps the value of a new vCPU',
  value: () => 'differs on a new vCPU; a restore writes the value of the guest',
} as const

function inWords(source: ProbedList, destination: ProbedList, differences: Difference[]): string {
  const lost = differences.filter(({ kind }) => kind === 'lost').map(({ name }) => name)
  const rows = differences.map(({ name, kind, ...answers }) => [
    name,
    shown(answers.source),
    shown(answers.destination),
    verdicts[kind](),
  ])
  const titles = ['register', 'source', 'destination', 'difference'].map(heading)
  return [
    table([
      ['source', described(source)],
      ['destination', described(destination)],
    ]),
    ...(rows.length === 0 ? [] : ['', table([titles, ...rows])]),
    '',
    lost.length === 0
      ? styled('green', paragraph('The destination has every register that the source has.'))
      : styled(
          'red',
          paragraph(`The destination lacks registers of the source: ${lost.join(', ')}.`),
        ),
  ].join('\n')
}

function described(list: ProbedList): string {
  return `${readable(list)} registers can be read${list.machine === '' ? '' : ` on ${list.machine}`}`
}

function shown(answer: ListedAnswer | undefined): string {
  if (answer === undefined) return 'not listed'
  if ('error' in answer) return answer.error
  const { value, width } = answer
  return width === 128
    ? `${value}`
    : `0x${BigInt(value)
        .toString(16)
        .padStart(width / 4, '0')}`
}
