import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import { gunzipSync } from 'node:zlib'
import { table } from '../lib/cli/print.ts'
import { makeStream } from './make-stream.ts'

/**
 * Measures how fast a large stream is read, compared with reading the same file and dropping the bytes, and how
 * much memory that takes:
 *
 *     npx tsx bench/stream.ts [MiB] [--against FOLDER] [--analyser FILE]
 *
 * The default is 1024 MiB. FOLDER is another checkout of this project, after `npm run build:lib`; FILE is
 * QEMU's scripts/analyze-migration.py. Each run is a process of its own; the file is in the page cache.
 */

const ROUNDS = 5
const PAGE_RECORD_BYTES = 4104

const root = fileURLToPath(new URL('..', import.meta.url))
const library = libraryOf(root)
const {
  positionals: [mib = '1024'],
  values: { against, analyser },
} = parseArgs({
  options: { against: { type: 'string' }, analyser: { type: 'string' } },
  allowPositionals: true,
})
const folder = await mkdtemp(join(tmpdir(), 'bench-stream-'))
const path = join(folder, 'stream')

interface Run {
  readonly seconds: number
  readonly rssMib: number
}

/** The programs to compare. Each prints its time and its greatest memory. */
const report = `console.log(JSON.stringify({
  seconds: (performance.now() - started) / 1000, rssMib: process.resourceUsage().maxRSS / 1024 }))`
const programs: Record<string, readonly string[]> = {
  'read into nothing': nodeProgram(`
    import { open } from 'node:fs/promises'
    const started = performance.now()
    const file = await open(process.argv[1])
    const memory = Buffer.allocUnsafeSlow(1 << 20)
    while ((await file.read(memory, 0, memory.length, null)).bytesRead > 0);
    await file.close()
    ${report}`),
  'readQemuTimebase(path)': timebaseProgram(library),
  ...(against === undefined
    ? {}
    : { [`the same in ${against}`]: timebaseProgram(libraryOf(against)) }),
  'readQemuTimebase(createReadStream(path))': nodeProgram(`
    import { createReadStream } from 'node:fs'
    import { readQemuTimebase } from '${library}'
    const started = performance.now()
    await readQemuTimebase(createReadStream(process.argv[1], { highWaterMark: 1 << 20 }))
    ${report}`),
  ...(analyser === undefined ? {} : { 'analyze-migration.py': pythonProgram(analyser) }),
}

function libraryOf(checkout: string): string {
  return pathToFileURL(join(checkout, 'dist/vmstate/index.js')).href
}

function timebaseProgram(library: string): string[] {
  return nodeProgram(`
    import { readQemuTimebase } from '${library}'
    const started = performance.now()
    await readQemuTimebase(process.argv[1])
    ${report}`)
}

function nodeProgram(code: string): string[] {
  return [process.execPath, '--input-type=module', '--eval', code, path]
}

function pythonProgram(script: string): string[] {
  const code = `
import json, resource, runpy, sys, time, io
script, path = sys.argv[1:]
sys.argv = [script, '-f', path]
out, sys.stdout = sys.stdout, io.StringIO()
started = time.perf_counter()
runpy.run_path(script, run_name='__main__')
seconds = time.perf_counter() - started
sys.stdout = out
print(json.dumps({'seconds': seconds, 'rssMib': resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))`
  return ['python3', '-c', code, script, path]
}

function run([command = '', ...args]: readonly string[]): Run {
  const { stdout, stderr, status } = spawnSync(command, args, { cwd: root, encoding: 'utf8' })
  if (status !== 0) throw new Error(`${command} failed: ${stderr}`)
  return JSON.parse(stdout) as Run
}

try {
  const base = gunzipSync(
    readFileSync(join(root, 'test/vmstate/stream/data/good/f-mini-ram.bin.gz')),
  )
  await makeStream(path, base, Math.round((Number(mib) * 2 ** 20) / PAGE_RECORD_BYTES))
  const { size } = await stat(path)
  const names = Object.keys(programs)
  const runs = Array.from({ length: ROUNDS }, () => names.map((name) => run(programs[name] ?? [])))
  const rows = names.map((name, index) => ({
    name,
    seconds: Math.min(...runs.map((round) => round[index]?.seconds ?? NaN)),
    rssMib: Math.max(...runs.map((round) => round[index]?.rssMib ?? NaN)),
  }))
  const plain = rows[0]?.seconds ?? NaN
  console.log(
    `${(size / 2 ** 20).toFixed(0)} MiB, the best of ${ROUNDS} rounds, Node ${process.version}\n`,
  )
  console.log(
    table([
      ['', 'MiB/s', 'of plain', 'peak RSS'],
      ...rows.map(({ name, seconds, rssMib }) => [
        name,
        (size / 2 ** 20 / seconds).toFixed(0).padStart(5),
        `${((100 * plain) / seconds).toFixed(0)} %`.padStart(8),
        `${rssMib.toFixed(0)} MiB`.padStart(8),
      ]),
    ]),
  )
} finally {
  await rm(folder, { recursive: true })
}
