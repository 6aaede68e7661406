import { unseen } from './unseen.ts'
import type { Unseen } from './unseen.ts'

/** A file in Stryker's report, as far as it is needed here (mutation-testing-report-schema). */
export interface Mutated {
  readonly file: string
  /** Its text when the mutants were made. */
  readonly source: string
  readonly mutants: readonly Mutant[]
}

interface Mutant {
  readonly status: string
  readonly replacement: string
  readonly location: { readonly start: Position; readonly end: Position }
}

/** Both from 1 on. */
interface Position {
  readonly line: number
  readonly column: number
}

/** Of a hundred mutants so many have to be seen. */
const LEAST_SEEN = 95

/**
 * Prints how many mutants of each file the tests see, and the others with the reason from unseen.ts.
 *
 * @returns whether enough are seen, and there is a reason for each of the others
 */
export function report(results: readonly Mutated[]): boolean {
  console.log()
  const counted = results.map(({ file, source, mutants }) => {
    const left = mutants.filter(isLeft)
    return { file, source, left, number: left.length + mutants.filter(isSeen).length, mutants }
  })
  const isExplained = counted.map(explain).every((isTrue) => isTrue)
  console.table(
    counted.map(({ file, number, mutants, left }) => ({
      file,
      mutants: number,
      'timed out': mutants.filter(({ status }) => status === 'Timeout').length,
      'not seen': left.length,
      'seen, %': percentSeen(number, left.length),
    })),
  )
  const all = counted.reduce((sum, { number }) => sum + number, 0)
  const seen = percentSeen(
    all,
    counted.reduce((sum, { left }) => sum + left.length, 0),
  )
  console.log(`Seen: ${seen} % of ${all} mutants; ${LEAST_SEEN} % is the least.`)
  return isExplained && seen >= LEAST_SEEN
}

function percentSeen(mutants: number, left: number): number {
  return mutants === 0 ? 100 : Math.floor((1000 * (mutants - left)) / mutants) / 10
}

/** Prints the reason for each mutant of a file that is left, and the reasons that are not needed. */
function explain({
  file,
  source,
  left,
}: {
  file: string
  source: string
  left: readonly Mutant[]
}): boolean {
  const reasons = unseen.filter((reason) => reason.file === file)
  const used = new Set<Unseen>()
  let isExplained = true
  for (const mutant of left) {
    const { line, change } = describe(source, mutant)
    const reason = reasons.find((each) => each.line === line && each.changes.includes(change))
    if (reason === undefined) isExplained = false
    else used.add(reason)
    console.log(`${file}:${mutant.location.start.line}  ${line}\n  ${change}`)
    console.log(`  ${reason?.why ?? 'No test sees this, and unseen.ts gives no reason'}`)
  }
  for (const reason of reasons.filter((each) => !used.has(each))) {
    isExplained = false
    console.log(`${file}  ${reason.line}\n  unseen.ts need not say: ${reason.why}`)
  }
  return isExplained
}

function isLeft({ status }: Mutant): boolean {
  return status === 'Survived' || status === 'NoCoverage'
}

function isSeen({ status }: Mutant): boolean {
  return status === 'Killed' || status === 'Timeout'
}

/** The line in which the changed code begins, and the change. */
function describe(
  source: string,
  { location: { start, end }, replacement }: Mutant,
): { line: string; change: string } {
  const lines = source.split('\n').slice(start.line - 1, end.line)
  const line = lines[0]?.trim() ?? ''
  lines.push(lines.pop()?.slice(0, end.column - 1) ?? '')
  lines[0] = lines[0]?.slice(start.column - 1) ?? ''
  return { line, change: `${oneLine(lines.join('\n'))} => ${oneLine(replacement)}` }
}

function oneLine(text: string): string {
  return text.replaceAll(/\s+/g, ' ')
}
