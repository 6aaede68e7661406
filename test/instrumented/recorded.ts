import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import coverage from 'istanbul-lib-coverage'
import type { CoverageMapData } from 'istanbul-lib-coverage'
import report from 'istanbul-lib-report'
import reports from 'istanbul-reports'
import { keyOf } from 'power-host'
import { must } from './copy.ts'
import { explain } from './not-run.ts'
import type { Line } from './not-run.ts'

const root = path.resolve(import.meta.dirname, '../..')
const all = path.join(root, 'coverage')

/** A hash of the sources that are counted. Counts of other sources cannot be added. */
export function sourcesNow(): Promise<string> {
  return keyOf({ files: ['lib', 'native'].map((name) => path.join(root, name)) })
}

/** The parts of gcovr's format that are used here. */
interface NativeCounts {
  files: { file: string; functions: unknown[]; lines: NativeLine[] }[]
}

interface NativeLine {
  line_number: number
  count: number
  'gcovr/noncode': boolean
}

/** The lines that the tests ran on one kind of processor. */
export class Recorded {
  readonly #folder: string

  /** Begins anew. */
  constructor(processor: NodeJS.Architecture, sources: string) {
    this.#folder = path.join(all, processor)
    rmSync(this.#folder, { recursive: true, force: true })
    mkdirSync(this.#folder, { recursive: true })
    writeFileSync(path.join(this.#folder, 'sources'), sources)
  }

  /** @param project where it ran: names of files are to be the same on every machine */
  recordLib(counts: string, project: string): void {
    writeFileSync(path.join(this.#folder, 'lib.json'), counts.replaceAll(`${project}/`, ''))
  }

  /** @param project with native/, and in build/ the compiler's notes and the counts */
  recordNative(project: string, gcov = 'gcov'): void {
    const file = path.join(this.#folder, 'native.json')
    const ways = ['--root=.', '--filter=native/', '--gcov-executable', gcov]
    must('gcovr', [...ways, '--json', file, 'build'], { cwd: project })
    const counts = JSON.parse(readFileSync(file, 'utf8')) as NativeCounts
    // A function that is another one on each processor cannot be added up; its lines can.
    for (const one of counts.files) one.functions = []
    writeFileSync(file, JSON.stringify(counts))
  }
}

/**
 * Prints the sum of all that is recorded of the sources as they are now, and why the rest is not run.
 *
 * @returns whether there is a reason for each line, as far as can be known
 */
export async function showRecorded(): Promise<boolean> {
  const sources = await sourcesNow()
  const folders = readdirSync(all).filter((name) => existsSync(path.join(all, name, 'sources')))
  const areNow = (name: string): boolean =>
    readFileSync(path.join(all, name, 'sources'), 'utf8') === sources
  const added = folders.filter(areNow)
  const old = folders.filter((name) => !areNow(name))
  const filesOf = (name: string): string[] => added.map((folder) => path.join(all, folder, name))
  const lines = [...showLib(filesOf('lib.json')), ...showNative(filesOf('native.json'))]
  if (old.length > 0) console.log(`Not added, since it is of other sources: ${old.join(', ')}`)
  console.log(`Recorded in coverage/ and added up: ${added.join(', ')}`)
  const missing = ['x64', 'ppc64'].filter((processor) => !added.includes(processor))
  if (missing.length === 0) return explain(lines)
  console.log(`Whether the rest has its reasons is looked at when there is ${missing.join(', ')}`)
  return true
}

function showLib(files: readonly string[]): Line[] {
  const map = coverage.createCoverageMap()
  for (const file of files) map.merge(JSON.parse(readFileSync(file, 'utf8')) as CoverageMapData)
  reports.create('text').execute(report.createContext({ dir: all, coverageMap: map }))
  return map.files().flatMap((file) =>
    map
      .fileCoverageFor(file)
      .getUncoveredLines()
      .map((number) => ({ file, number })),
  )
}

function showNative(files: readonly string[]): Line[] {
  const traces = files.flatMap((file) => ['--add-tracefile', file])
  must('gcovr', [`--root=${root}`, ...traces], { cwd: root })
  const counts = new Map<string, number>()
  for (const file of files) {
    for (const { file: name, lines } of (JSON.parse(readFileSync(file, 'utf8')) as NativeCounts)
      .files) {
      for (const line of lines.filter((line) => !line['gcovr/noncode'])) {
        const key = `${name}:${line.line_number}`
        counts.set(key, (counts.get(key) ?? 0) + line.count)
      }
    }
  }
  return [...counts].flatMap(([key, count]) => {
    const [file = '', number] = key.split(':')
    return count === 0 ? [{ file, number: Number(number) }] : []
  })
}
