import { mkdirSync, readdirSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import coverage from 'istanbul-lib-coverage'
import type { CoverageMapData } from 'istanbul-lib-coverage'
import report from 'istanbul-lib-report'
import reports from 'istanbul-reports'
import { must } from './copy.ts'

/** With these GCC makes an addon that counts what is run of it, from any thread. */
export const COUNTING_FLAGS = ['--coverage', '-fprofile-update=atomic', '-O0', '-g']

/** With these Vitest counts what is run of lib/, and {@link COUNTS_OF_LIB} has the outcome. */
export const COUNTING_ARGUMENTS = [
  ...['--coverage.enabled', '--coverage.include=lib/**/*.ts', '--coverage.reporter=json'],
  '--coverage.reportOnFailure',
]

export const COUNTS_OF_LIB = 'coverage/coverage-final.json'

const root = path.resolve(import.meta.dirname, '../..')
const all = path.join(root, 'coverage')

/** What is of interest here in gcovr's format. */
interface NativeCounts {
  files: { functions: unknown[] }[]
}

/** What the tests ran on one kind of processor. */
export class Recorded {
  readonly #folder: string

  /** Begins anew. */
  constructor(processor: NodeJS.Architecture) {
    this.#folder = path.join(all, processor)
    rmSync(this.#folder, { recursive: true, force: true })
    mkdirSync(this.#folder, { recursive: true })
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

/** Prints the sum of all that is recorded. */
export function showRecorded(): void {
  const map = coverage.createCoverageMap()
  for (const file of filesOf('lib.json')) {
    map.merge(JSON.parse(readFileSync(file, 'utf8')) as CoverageMapData)
  }
  reports.create('text').execute(report.createContext({ dir: all, coverageMap: map }))
  const traces = filesOf('native.json').flatMap((file) => ['--add-tracefile', file])
  must('gcovr', [`--root=${root}`, ...traces], { cwd: root })
  console.log(`Recorded in coverage/: ${readdirSync(all).join(', ')}`)
}

function filesOf(name: string): string[] {
  const files = readdirSync(all).map((folder) => path.join(all, folder, name))
  return files.filter((file) => existsSync(file))
}
