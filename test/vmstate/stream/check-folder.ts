import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { isDeepStrictEqual } from 'node:util'
import { readQemuStream } from '../../../lib/vmstate/stream/read.ts'
import type { QemuStream, QemuStreamSource } from '../../../lib/vmstate/stream/types.ts'
import { chunked, judge, known, readStreamFile, reused, seen } from './expected.ts'
import type { BadStream, Expected, GoodStream } from './expected.ts'

/** Streams up to this many bytes are also read byte by byte. */
const SMALL = 300_000
const ODD_CHUNK = 4099

/** One stream, read in one way. */
export interface Reading {
  /** The stream's name in expected.json. */
  readonly stream: string
  readonly way: string
  /** Whether the outcome is the expected one. */
  readonly ok: boolean
  /** The guest timebase, the error's message, or what differs. */
  readonly outcome: string
  readonly ms: number
}

type Read = (search: boolean) => Promise<QemuStream>

/** Reads every stream of a folder from a file, from memory and in odd chunks, and small ones byte by byte. */
export async function* checkFolder(
  folder: string,
  { good, bad }: Expected,
): AsyncGenerator<Reading> {
  const scratch = await mkdtemp(join(tmpdir(), 'streams-'))
  try {
    for (const [name, stream] of Object.entries(good)) {
      for await (const [way, read] of ways(folder, stream.file, scratch)) {
        yield { stream: name, way, ...(await readGood(stream, read)) }
      }
    }
    for (const [name, stream] of Object.entries(bad)) {
      for await (const [way, read] of ways(folder, stream.file, scratch)) {
        yield { stream: name, way, ...(await readBad(stream, () => read(false))) }
        yield {
          stream: name,
          way: `${way}, search`,
          ...(await readBad(stream, () => read(true))),
        }
      }
    }
  } finally {
    await rm(scratch, { recursive: true })
  }
}

type Outcome = Pick<Reading, 'ok' | 'outcome' | 'ms'>

async function readGood(stream: GoodStream, read: Read): Promise<Outcome> {
  const wanted = known(stream)
  const started = performance.now()
  try {
    const found = seen(await read(!stream.has_description), stream)
    const ok = isDeepStrictEqual(found, wanted)
    const outcome = ok ? found.guestTimebase : differences(found, wanted)
    return { ok, outcome, ms: performance.now() - started }
  } catch (error) {
    // A stream that QEMU itself has loaded: to refuse it is a failure of the reader, and its words are the result.
    return {
      ok: false,
      outcome: `refused: ${(error as Error).message}`,
      ms: performance.now() - started,
    }
  }
}

/** Each thing that was found with another value than the wanted one. */
function differences<T extends object>(found: T, wanted: T): string {
  const keys = Object.keys(wanted) as (keyof T & string)[]
  return keys
    .filter((key) => !isDeepStrictEqual(found[key], wanted[key]))
    .map((key) => `${key}: ${JSON.stringify(found[key])}, not ${JSON.stringify(wanted[key])}`)
    .join('; ')
}

async function readBad(stream: BadStream, read: () => Promise<QemuStream>): Promise<Outcome> {
  const started = performance.now()
  const { ok, outcome } = await judge(stream, read)
  return { ok, outcome, ms: performance.now() - started }
}

/** The stream as each kind of source. */
async function* ways(
  folder: string,
  file: string,
  scratch: string,
): AsyncGenerator<readonly [string, Read]> {
  const bytes = await readStreamFile(folder, file)
  const path = join(scratch, 'stream')
  await writeFile(path, bytes)
  const reading =
    (source: () => QemuStreamSource): Read =>
    (search) =>
      readQemuStream(source(), { search })
  yield ['file', reading(() => path)]
  yield ['memory', reading(() => bytes)]
  yield ['odd chunks', reading(() => Readable.from(chunked(bytes, ODD_CHUNK)))]
  if (bytes.length <= SMALL) yield ['byte by byte', reading(() => reused(bytes, 1))]
}
