import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { isDeepStrictEqual } from 'node:util'
import { table } from '../../../lib/cli/print.ts'
import { readQemuStream } from '../../../lib/vmstate/stream/read.ts'
import type { QemuStream, QemuStreamSource } from '../../../lib/vmstate/stream/types.ts'
import { chunked, judge, known, readExpected, readStreamFile, reused, seen } from './expected.ts'
import type { Expected } from './expected.ts'

/**
 * Reads every stream of a folder from a file, from memory and in odd chunks, and compares with what
 * the folder's expected.json says: npm run check:streams -- DIR
 */

/** Streams up to this many bytes are also read byte by byte. */
const SMALL = 300_000
const ODD_CHUNK = 4099
const SLOW_MS = 1000

interface Row {
  readonly name: string
  readonly ok: boolean
  readonly outcome: string
  readonly ms: number
}

type Reading = (search: boolean) => Promise<QemuStream>

const [folder] = process.argv.slice(2)
if (folder === undefined) {
  console.error('usage: npm run check:streams -- DIR')
  process.exit(2)
}
const expected = await readExpected(folder)
const scratch = await mkdtemp(join(tmpdir(), 'streams-'))
try {
  const rows = [...(await goodRows(folder, expected)), ...(await badRows(folder, expected))]
  console.log(
    table(
      rows.map((row) => [row.ok ? 'ok' : 'NO', row.name, `${row.ms.toFixed(0)} ms`, row.outcome]),
    ),
  )
  const failed = rows.filter((row) => !row.ok).length
  const rss = process.resourceUsage().maxRSS / 1024
  console.log(`\n${rows.length} streams, ${failed} not as expected; ${rss.toFixed(0)} MiB at most`)
  process.exitCode = failed === 0 ? 0 : 1
} finally {
  await rm(scratch, { recursive: true })
}

async function goodRows(from: string, { good }: Expected): Promise<Row[]> {
  const rows: Row[] = []
  for (const [name, stream] of Object.entries(good)) {
    const wanted = known(stream)
    await forms(from, stream.file, async (form, read) => {
      const started = performance.now()
      const found = seen(await read(!stream.has_description), stream)
      const ms = performance.now() - started
      const ok = isDeepStrictEqual(found, wanted)
      rows.push({
        name: `${name} (${form})`,
        ok,
        outcome: ok ? found.guestTimebase : JSON.stringify({ found, wanted }),
        ms,
      })
    })
  }
  return rows
}

async function badRows(from: string, { bad }: Expected): Promise<Row[]> {
  const rows: Row[] = []
  for (const [name, stream] of Object.entries(bad)) {
    await forms(from, stream.file, async (form, read) => {
      for (const search of [false, true]) {
        const started = performance.now()
        const { ok, outcome } = await judge(stream, () => read(search))
        const ms = performance.now() - started
        const isSlow = ms > SLOW_MS && !form.includes('byte')
        const label = `${name} (${form}${search ? ', search' : ''})`
        rows.push({ name: label, ok: ok && !isSlow, outcome, ms })
      }
    })
  }
  return rows
}

/** The stream as each kind of source. */
async function forms(
  from: string,
  file: string,
  each: (form: string, read: Reading) => Promise<void>,
): Promise<void> {
  const bytes = await readStreamFile(from, file)
  const path = join(scratch, 'stream')
  await writeFile(path, bytes)
  const reading =
    (source: () => QemuStreamSource): Reading =>
    (search) =>
      readQemuStream(source(), { search })
  await each(
    'file',
    reading(() => path),
  )
  await each(
    'memory',
    reading(() => bytes),
  )
  await each(
    'odd chunks',
    reading(() => Readable.from(chunked(bytes, ODD_CHUNK))),
  )
  if (bytes.length <= SMALL)
    await each(
      'byte by byte',
      reading(() => reused(bytes, 1)),
    )
}
