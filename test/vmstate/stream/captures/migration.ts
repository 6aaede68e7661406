import { mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { writingProgram } from '../../../support/qemu-guest.ts'
import { runUntilItReads, timebaseIn } from '../../../support/qemu-stream.ts'
import { Qmp } from '../../../support/qmp.ts'
import { numbersFor } from './chosen.ts'
import type { ChosenNumbers } from './chosen.ts'
import { addDirtyBitmap, guestArguments, prepareGuest } from './guest.ts'
import type { CaptureKind } from './kinds.ts'
import { RecordingProxy } from './proxy.ts'
import type { QemuProgram } from './qemu-program.ts'

/** One migration to be captured. */
export interface Capture {
  readonly name: string
  readonly qemu: QemuProgram
  readonly kind: CaptureKind
  readonly machine: string
  readonly mmu: 'hash' | 'radix'
}

/** The bytes of a migration that both QEMUs took for a success, and what the two say of it. */
export interface CapturedMigration {
  /** The stream itself: what went over the first connection, or the file, without what is in front of it. */
  readonly main: Buffer
  /** Other connections: of multifd, and of postcopy-preempt. */
  readonly channels: readonly Buffer[]
  readonly chosen: ChosenNumbers
  /** By `info registers` of a QEMU in which the guest is stopped after the migration, in ticks. */
  readonly guestTimebase: bigint
  /** The destination's own account of what it loaded: its trace. */
  readonly trace: string
}

/** A QEMU that refuses what it was asked for, in its words. */
export class QemuRefusal extends Error {}

/** A tmpfs: postcopy takes memory backends in files of one only, besides hugetlbfs. */
const SHARED_MEMORY = '/dev/shm'

const GIVE_UP_MS = 180_000
/** In bytes a second: some seconds for the whole guest, so that it can still be told something. */
const SLOW = 1_500_000

/** Migrates a guest from one QEMU to a second one, and records what goes over. */
export async function captureMigration(
  capture: Capture,
  library: string,
): Promise<CapturedMigration> {
  const folder = await mkdtemp(join(SHARED_MEMORY, 'capture-'))
  const kernel = join(folder, 'kernel.elf')
  await writeFile(kernel, writingProgram(capture.mmu))
  const chosen = numbersFor(capture.name)
  const env = {
    ...capture.qemu.env,
    LD_PRELOAD: library,
    CAPTURE_COUNTER: `${chosen.counter}`,
    CAPTURE_TIME_US: `${chosen.timeUs}`,
    CAPTURE_RDTSC: capture.qemu.rdtsc.join(),
    CAPTURE_HUGE: folder,
  }
  const trace = join(folder, 'trace')
  const args = [...capture.qemu.args, ...guestArguments(capture, folder), '-kernel', kernel]
  const traced = [...args, '-incoming', 'defer', '-D', trace, ...TRACE]
  const source = new Qmp(capture.qemu.program, args, env)
  const destination = new Qmp(capture.qemu.program, traced, env)
  const proxy = await RecordingProxy.between(join(folder, 'source'), join(folder, 'destination'))
  try {
    const ends = { source, destination, folder }
    await prepareEnds(capture, ends)
    const guestTimebase = await migrate(capture, ends)
    const streams = proxy.channels.map(({ sent }) => Buffer.concat(sent))
    const main =
      capture.kind.fileOffset === undefined
        ? takeMain(streams)
        : (await readFile(join(folder, 'file'))).subarray(capture.kind.fileOffset)
    await destination.execute('quit')
    return {
      main,
      channels: streams,
      chosen,
      guestTimebase,
      trace: await readFile(trace, 'utf8'),
    }
  } catch (error) {
    const said = `${source.said}${destination.said}`
    throw refusalOf(error, said)
  } finally {
    source.kill()
    destination.kill()
    proxy.close()
    await rm(folder, { recursive: true, maxRetries: 3 })
  }
}

const TRACE = ['qemu_loadvm_state_section*', 'loadvm_process_command'].flatMap((name) => [
  '-trace',
  name,
])

interface Ends {
  readonly source: Qmp
  readonly destination: Qmp
  readonly folder: string
}

async function prepareEnds({ kind }: Capture, { source, destination }: Ends): Promise<void> {
  for (const [end, takesPart] of [
    [source, true],
    [destination, kind.sourceOnly !== true],
  ] as const) {
    await end.execute('qmp_capabilities')
    await prepareGuest(kind, end)
    if (!takesPart) continue
    const capabilities = kind.capabilities.map((capability) => ({ capability, state: true }))
    await end.execute('migrate-set-capabilities', { capabilities })
    if (kind.parameters) await end.execute('migrate-set-parameters', kind.parameters)
  }
}

/** Returns the guest's timebase where it is stopped afterwards. */
async function migrate({ kind, name }: Capture, ends: Ends): Promise<bigint> {
  const { source, destination, folder } = ends
  await addDirtyBitmap(kind, source)
  await runUntilItReads(source)
  if (kind.runs) await source.execute('cont')
  if (kind.fileOffset === undefined) {
    await destination.execute('migrate-incoming', { uri: `unix:${join(folder, 'destination')}` })
    if (kind.switches ?? kind.rounds) {
      await source.execute('migrate-set-parameters', { 'max-bandwidth': SLOW })
    }
    await source.execute('migrate', { uri: `unix:${join(folder, 'source')}` })
    if (kind.switches) await switchOver(ends)
    if (kind.rounds) await severalRounds(source)
    await reaches(source, 'completed')
  } else {
    const file = join(folder, 'file')
    await writeFile(file, '')
    await truncate(file, kind.fileOffset)
    const uri = `file:${file},offset=${kind.fileOffset}`
    await source.execute('migrate', { uri })
    await reaches(source, 'completed')
    await destination.execute('migrate-incoming', { uri })
  }
  await reaches(destination, 'completed')
  const stopped = timebaseIn(await (kind.switches ? source : destination).ask('info registers'))
  if (!kind.switches && !kind.sourceRunsOn) {
    const again = timebaseIn(await source.ask('info registers'))
    if (again !== stopped) throw new Error(`${name}: source ${again}, destination ${stopped}`)
  }
  return stopped
}

/** Lets the guest go on at the destination while its RAM is still at the source. */
async function switchOver({ source, destination }: Ends): Promise<void> {
  await until(async () => (await migrationOf(source)).ram?.normal ?? 0)
  await source.execute('migrate-start-postcopy')
  await reaches(destination, 'postcopy-active', 'completed')
  // It runs on pages that it has to ask for.
  await destination.execute('cont')
  await source.execute('migrate-set-parameters', { 'max-bandwidth': SLOW * 1000 })
}

async function severalRounds(source: Qmp): Promise<void> {
  await until(async () => ((await migrationOf(source)).ram?.['dirty-sync-count'] ?? 0) >= 3)
  await source.execute('migrate-set-parameters', { 'max-bandwidth': SLOW * 1000 })
}

interface MigrationInfo {
  readonly status?: string
  readonly 'error-desc'?: string
  readonly ram?: { readonly normal: number; readonly 'dirty-sync-count': number }
}

async function migrationOf(end: Qmp): Promise<MigrationInfo> {
  const info = (await end.execute('query-migrate')) as MigrationInfo
  if (info.status === 'failed') throw new QemuRefusal(info['error-desc'] ?? end.said.trim())
  return info
}

async function reaches(end: Qmp, ...wanted: readonly string[]): Promise<void> {
  await until(async () => wanted.includes((await migrationOf(end)).status ?? ''))
}

async function until(condition: () => Promise<unknown>): Promise<void> {
  const started = Date.now()
  while (!(await condition())) {
    if (Date.now() - started > GIVE_UP_MS) throw new Error('the migration did not get on in time')
    await sleep(50)
  }
}

/** The connection that begins with the stream's magic number; it is taken out of the others. */
function takeMain(streams: Buffer[]): Buffer {
  const index = streams.findIndex((bytes) => bytes.toString('latin1', 0, 4) === 'QEVM')
  const [main] = index < 0 ? [] : streams.splice(index, 1)
  if (main === undefined) throw new Error('no connection began with QEVM')
  return main
}

/** QEMU refuses by an answer of QMP, or by ending with a message. */
function refusalOf(error: unknown, said: string): unknown {
  if (!(error instanceof Error)) return error
  if (error instanceof QemuRefusal) return error
  const isAnswer = /^[-a-z_]+: |^QEMU ended/.test(error.message)
  if (!isAnswer) return new Error(`${error.message}\n${said}`)
  return new QemuRefusal(error.message)
}
