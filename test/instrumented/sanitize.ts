// The suite with the addon under AddressSanitizer and UndefinedBehaviorSanitizer. First errors that
// were planted must be found, or the rest would prove nothing.
//
// Not under LeakSanitizer: what only JavaScript's heap points to it takes for lost, and Node's own
// memory is never all given back. Nor under ThreadSanitizer: it must know of every lock and every
// atomic access in the process, and Node is built without it.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import path from 'node:path'
import { instrumentedCopy, must, withFlags } from './copy.ts'

const FLAGS = [
  '-fsanitize=address,undefined',
  '-fno-sanitize-recover=all',
  '-fno-omit-frame-pointer',
  '-O1',
  '-g',
]

/** They never load the addon; the first measures memory, of which AddressSanitizer takes much. */
const WITHOUT_ADDON = [
  ...['test/vmstate/**', 'test/power/**', 'power-host/**'],
  ...['test/docs/documents.x86.test.ts', 'test/docs/release.x86.test.ts'],
]

const copy = instrumentedCopy('sanitized', FLAGS)
const planted = path.join(copy, 'test/instrumented/planted')
const nodeGyp = path.join(copy, 'node_modules/node-gyp/bin/node-gyp.js')
const reports = path.join(copy, 'reports')

buildPlanted()
checkThatItNeedsTheRuntime()
checkThatPlantedErrorsAreFound()
process.exitCode = runSuite()

function buildPlanted(): void {
  const args = [nodeGyp, 'rebuild', '--loglevel=error', ...localHeaders()]
  must(process.execPath, args, { cwd: planted, env: withFlags(FLAGS), stdio: 'ignore' })
}

function localHeaders(): string[] {
  const prefix = path.resolve(process.execPath, '../..')
  return existsSync(path.join(prefix, 'include/node/node_api.h')) ? [`--nodedir=${prefix}`] : []
}

/** Else it would be another addon that the suite runs with. */
function checkThatItNeedsTheRuntime(): void {
  const load = "import('./lib/kernel/addon.ts').then((addon) => addon.loadAddon())"
  const args = ['--import', 'tsx', '--eval', load]
  const { status, stderr } = spawnSync(process.execPath, args, { cwd: copy, encoding: 'utf8' })
  if (status === 0 || !stderr.includes('ASan runtime does not come first')) {
    throw new Error(`The addon is not under AddressSanitizer: ${stderr}`)
  }
}

function checkThatPlantedErrorsAreFound(): void {
  expectReport('nothing')
  expectReport('longBatch', 'AddressSanitizer: heap-buffer-overflow', 'READ of size 4', 'batch.h')
  expectReport('shortSample', 'AddressSanitizer: heap-buffer-overflow', 'WRITE', 'timebase.cc')
  expectReport('freedBatch', 'AddressSanitizer: heap-use-after-free', 'batch.h')
  expectReport('oddBatch', 'runtime error', 'misaligned address', 'batch.h')
}

function expectReport(call: string, ...words: string[]): void {
  const env = sanitizedEnvironment()
  const options = { cwd: planted, env, encoding: 'utf8' } as const
  const { status, stderr } = spawnSync(process.execPath, ['call.mjs', call], options)
  const said = stderr + reported()
  const found = status !== 0 && words.every((word) => said.includes(word))
  if (words.length === 0 ? said !== '' || status !== 0 : !found) {
    throw new Error(`planted ${call}: status ${status ?? 'of a signal'}, reported: ${said}`)
  }
  console.log(`planted ${call}: ${words.length === 0 ? 'nothing to report' : words.join(', ')}`)
}

/**
 * Whatever a test does with the output of its processes, AddressSanitizer's reports are in files of
 * their own. UndefinedBehaviorSanitizer knows no such option beside it: it ends the process.
 */
function sanitizedEnvironment(): NodeJS.ProcessEnv {
  rmSync(reports, { recursive: true, force: true })
  mkdirSync(reports)
  const runtime = spawnSync('g++', ['-print-file-name=libasan.so'], { encoding: 'utf8' })
  return {
    ...process.env,
    LD_PRELOAD: runtime.stdout.trim(),
    ASAN_OPTIONS: `detect_leaks=0:detect_stack_use_after_return=1:log_path=${reports}/of`,
    UBSAN_OPTIONS: 'print_stacktrace=1',
  }
}

function reported(): string {
  const files = readdirSync(reports).map((file) => path.join(reports, file))
  return files.map((file) => readFileSync(file, 'utf8')).join('\n')
}

function runSuite(): number {
  const args = [
    ...[
      'node_modules/vitest/vitest.mjs',
      'run',
      '--typecheck.enabled=false',
      '--testTimeout=60000',
    ],
    ...WITHOUT_ADDON.map((glob) => `--exclude=${glob}`),
    ...process.argv.slice(2),
  ]
  const env = sanitizedEnvironment()
  const { status } = spawnSync(process.execPath, args, { cwd: copy, env, stdio: 'inherit' })
  const said = reported()
  if (said !== '') console.error(said)
  return said === '' ? (status ?? 1) : 1
}
