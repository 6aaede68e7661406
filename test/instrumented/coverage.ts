// How much of lib/ and native/ the tests run. What this machine's tests run is recorded in
// coverage/<processor>; the tables are of all such folders that are there, added up.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import coverage from 'istanbul-lib-coverage'
import type { CoverageMapData } from 'istanbul-lib-coverage'
import report from 'istanbul-lib-report'
import reports from 'istanbul-reports'
import { instrumentedCopy, must } from './copy.ts'

const FLAGS = ['--coverage', '-fprofile-update=atomic', '-O0', '-g']

const root = path.resolve(import.meta.dirname, '../..')
const recorded = path.join(root, 'coverage', process.arch)
const copy = instrumentedCopy('coverage', FLAGS)

rmSync(recorded, { recursive: true, force: true })
mkdirSync(recorded, { recursive: true })
process.exitCode = runSuite()
recordNative()
recordLib()
show()

function runSuite(): number {
  const args = [
    ...['node_modules/vitest/vitest.mjs', 'run', '--typecheck.enabled=false'],
    ...['--coverage.enabled', '--coverage.include=lib/**/*.ts', '--coverage.reporter=json'],
    ...['--coverage.reportOnFailure', '--testTimeout=60000'],
    ...process.argv.slice(2),
  ]
  return spawnSync(process.execPath, args, { cwd: copy, stdio: 'inherit' }).status ?? 1
}

function recordNative(): void {
  const file = path.join(recorded, 'native.json')
  must('gcovr', ['--root=.', '--filter=native/', '--json', file, 'build'], { cwd: copy })
}

/** With names of files that are the same on every machine. */
function recordLib(): void {
  const text = readFileSync(path.join(copy, 'coverage/coverage-final.json'), 'utf8')
  writeFileSync(path.join(recorded, 'lib.json'), text.replaceAll(`${copy}/`, ''))
}

function show(): void {
  const map = coverage.createCoverageMap()
  for (const file of allRecorded('lib.json')) {
    map.merge(JSON.parse(readFileSync(file, 'utf8')) as CoverageMapData)
  }
  const dir = path.join(root, 'coverage')
  reports.create('text').execute(report.createContext({ dir, coverageMap: map }))
  const traces = allRecorded('native.json').flatMap((file) => ['--add-tracefile', file])
  must('gcovr', [`--root=${root}`, ...traces], { cwd: root })
}

function allRecorded(name: string): string[] {
  const folders = readdirSync(path.join(root, 'coverage'))
  const files = folders.map((folder) => path.join(root, 'coverage', folder, name))
  return files.filter((file) => existsSync(file))
}
