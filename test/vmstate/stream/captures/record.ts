import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { compileChosen } from './chosen.ts'
import { expectationOf } from './expectation.ts'
import type { Ledger } from './ledger.ts'
import { captureKinds } from './kinds.ts'
import type { CaptureKind } from './kinds.ts'
import { captureMigration, QemuRefusal } from './migration.ts'
import type { Capture, CapturedMigration } from './migration.ts'
import type { QemuProgram } from './qemu-program.ts'

/** Kinds whose streams differ by the guest's page tables in more than the one section. */
const WITH_BOTH = ['plain', 'postcopy', 'background-snapshot']

/**
 * Every migration to be tried with a QEMU: each kind with its newest machine and, in turn, hash or radix page tables;
 * and the machines from which streams differ, plainly.
 */
export function capturesOf(qemu: QemuProgram, only: readonly string[] = []): Capture[] {
  const newest = qemu.machines.at(-1)
  if (newest === undefined) throw new Error(`QEMU ${qemu.version} has no pseries machine`)
  const isWanted = ({ kind }: { kind: CaptureKind }) =>
    only.length === 0 || only.includes(kind.name)
  const kinds = captureKinds.flatMap((kind, index) =>
    (['hash', 'radix'] as const)
      .filter((_, which) => WITH_BOTH.includes(kind.name) || which === index % 2)
      .map((mmu) => ({ qemu, kind, machine: newest, mmu })),
  )
  const [plain] = captureKinds
  const machines = qemu.machines
    .filter((machine, index) => index === 0 || /^pseries-(2\.|\d+\.0$)/.test(machine))
    .filter((machine) => machine !== newest)
    .flatMap((machine) => (plain ? [{ qemu, kind: plain, machine, mmu: 'hash' as const }] : []))
  return [...kinds, ...machines].filter(isWanted).map((each) => ({ ...each, name: nameOf(each) }))
}

function nameOf({ qemu, kind, machine, mmu }: Omit<Capture, 'name'>): string {
  const isNewest = machine === qemu.machines.at(-1)
  const words = [
    'q' + qemu.version,
    kind.name,
    mmu,
    ...(isNewest ? [] : [machine.replace('pseries-', 'ps')]),
  ]
  return words.join('-')
}

/**
 * Makes those captures that the ledger does not have yet, and reports each. Returns how many failed for other reasons
 * than that QEMU refuses: they are made by the next run.
 */
export async function record(
  captures: readonly Capture[],
  ledger: Ledger,
  report: (line: string) => void,
): Promise<number> {
  const scratch = await mkdtemp(join(tmpdir(), 'captures-'))
  try {
    const library = compileChosen(scratch)
    let failures = 0
    for (const capture of captures.filter(({ name }) => !ledger.has(name))) {
      const started = performance.now()
      const { name, qemu, kind, machine, mmu } = capture
      const outcome = await attempt(capture, library, ledger)
      const seconds = ((performance.now() - started) / 1000).toFixed(1)
      report(`${name} (${seconds} s): ${outcome.failure ?? outcome.refusal ?? 'recorded'}`)
      if (outcome.failure !== undefined) failures++
      else {
        const { refusal } = outcome
        ledger.rows.push({
          ...{ name, qemu: qemu.version, migration: kind.name, machine, mmu },
          ...(refusal === undefined ? {} : { refusal }),
        })
        await ledger.save()
      }
    }
    return failures
  } finally {
    await rm(scratch, { recursive: true })
  }
}

interface Outcome {
  /** What QEMU says that it cannot do. */
  readonly refusal?: string
  /** What went wrong otherwise. */
  readonly failure?: string
}

async function attempt(capture: Capture, library: string, ledger: Ledger): Promise<Outcome> {
  try {
    await keep(capture, await captureMigration(capture, library), ledger)
    return {}
  } catch (error) {
    const { message } = error as Error
    return error instanceof QemuRefusal ? { refusal: message } : { failure: message }
  }
}

async function keep(capture: Capture, captured: CapturedMigration, ledger: Ledger): Promise<void> {
  const { name, kind } = capture
  const write = (file: string, bytes: Buffer) =>
    writeFile(join(ledger.folder, file), gzipSync(bytes, { level: 9 }))
  const file = `good/${name}.bin.gz`
  await write(file, captured.main)
  ledger.good[name] = expectationOf(capture, captured, file)
  for (const [index, bytes] of captured.channels.entries()) {
    const channel = `${name}-channel${index + 1}`
    const channelFile = `bad/${channel}.bin.gz`
    await write(channelFile, bytes)
    const what = `connection ${index + 1} beside the stream, of ${kind.name}`
    ledger.bad[channel] = { file: channelFile, what, must: 'reject', base_guest_timebase: null }
  }
}
