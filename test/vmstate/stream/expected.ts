import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { VmstateError } from '../../../lib/errors.ts'
import type { QemuStream } from '../../../lib/vmstate/stream/types.ts'

type ListedSection = readonly [string, number | null, string, number | null, number | null]

/** The id, name, instance and version of a device's section. */
export type ListedDevice = readonly [number, string, number, number]

/** What is known of a good stream; 64-bit values are decimal strings. */
export interface GoodStream {
  readonly file: string
  /** Of a stream that `npm run check:streams -- record` made. */
  readonly captured?: { readonly qemu: string; readonly migration: string; readonly mmu: string }
  readonly cpu: string
  readonly machine_in_stream: string | null
  readonly capabilities: readonly string[]
  readonly commands: readonly string[]
  readonly footers: boolean
  readonly has_description: boolean
  /** 0 if the guest has no hash page table. */
  readonly htab_shift: number | null
  /** type, id, name, instance, version; also the configuration and the commands. */
  readonly sections?: readonly (readonly [
    string,
    number | null,
    string,
    number | null,
    number | null,
  ])[]
  /** The sections of devices alone, in their order. */
  readonly devices?: readonly ListedDevice[]
  readonly guest_timebase: string
  readonly guest_visible_timebase: string | null
  readonly time_of_the_day_ns: string
}

/** What is known of a damaged stream. `either`: refused, or the timebase of the stream that it was made from. */
export interface BadStream {
  readonly file: string
  readonly what: string
  readonly must: 'reject' | 'accept' | 'either'
  readonly base_guest_timebase: string | null
}

export interface Expected {
  readonly good: Readonly<Record<string, GoodStream>>
  readonly bad: Readonly<Record<string, BadStream>>
}

export async function readExpected(folder: string): Promise<Expected> {
  return JSON.parse(await readFile(join(folder, 'expected.json'), 'utf8')) as Expected
}

/** The bytes of a stream, which may be kept in gzip's format. */
export async function readStreamFile(folder: string, file: string): Promise<Buffer> {
  const bytes = await readFile(join(folder, file))
  return file.endsWith('.gz') ? gunzipSync(bytes) : bytes
}

interface Seen {
  readonly machine: string | null
  readonly capabilities: readonly string[]
  readonly commands: readonly string[]
  readonly footers: boolean
  readonly described: boolean
  readonly htabShift: number
  readonly sections: readonly ListedSection[] | undefined
  readonly devices: readonly ListedDevice[] | undefined
  readonly guestTimebase: string
  readonly timeOfDayNs: string
  readonly guestVisible: string | null
}

/** What is known of the stream, in the form of {@link seen}. */
export function known(expected: GoodStream): Seen {
  return {
    machine: expected.machine_in_stream,
    capabilities: expected.capabilities,
    commands: expected.commands,
    footers: expected.footers,
    described: expected.has_description,
    htabShift: expected.htab_shift ?? 0,
    sections: expected.sections?.filter(([type]) => type !== 'configuration'),
    devices: expected.devices,
    guestTimebase: expected.guest_timebase,
    timeOfDayNs: expected.time_of_the_day_ns,
    guestVisible: expected.guest_visible_timebase,
  }
}

/** What was read from the stream. */
export function seen(stream: QemuStream, expected: GoodStream): Seen {
  const { machine, timebase, commands, htabShift, capabilities, footers, described } = stream
  const names = commands.map(({ name }) => name)
  // Within a package the destination's trace mixes two threads: of such a capture the commands before it are known.
  const isCutShort = expected.captured !== undefined && !expected.has_description
  // Under KVM the field is what the guest sees, under TCG the virtual clock is.
  const isKvm = expected.cpu.includes('KVM')
  const guestVisible = isKvm ? timebase.guestTimebase : timebase.virtualClockTimebase
  return {
    machine: machine ?? null,
    capabilities,
    commands: names.slice(0, isCutShort ? expected.commands.length : undefined),
    footers,
    described,
    htabShift: htabShift ?? 0,
    sections: expected.sections === undefined ? undefined : listed(stream),
    devices: expected.devices === undefined ? undefined : devicesOf(stream),
    guestTimebase: timebase.guestTimebase.toString(),
    timeOfDayNs: timebase.timeOfDayNs.toString(),
    guestVisible: guestVisible?.toString() ?? null,
  }
}

function devicesOf({ sections }: QemuStream): ListedDevice[] {
  return sections
    .filter(({ type }) => type === 'full')
    .map(({ id, name, instance, version }) => [id, name, instance, version] as const)
}

function listed({ sections, commands }: QemuStream): ListedSection[] {
  const elements = [
    ...sections.map((each) => ({
      offset: each.offset,
      row: [each.type, each.id, each.name, each.instance, each.version] as const,
    })),
    ...commands.map(({ name, offset }) => ({
      offset,
      row: ['command', null, name, null, null] as const,
    })),
  ]
  return elements.sort((a, b) => a.offset - b.offset).map(({ row }) => row)
}

/** What became of a damaged stream, and whether that is as it must be. */
export async function judge(
  { must, base_guest_timebase: base }: BadStream,
  read: () => Promise<QemuStream>,
): Promise<{ readonly ok: boolean; readonly outcome: string }> {
  try {
    const { timebase } = await read()
    const isRight = timebase.guestTimebase.toString() === base
    return { ok: must !== 'reject' && isRight, outcome: `value ${timebase.guestTimebase}` }
  } catch (error) {
    if (!(error instanceof VmstateError)) throw error
    return { ok: must !== 'accept', outcome: `${error.code}: ${error.message}` }
  }
}

/** Bytes in chunks of so many each. */
export function* chunked(bytes: Buffer, size: number): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}

/** The same, all in one piece of memory, as one who reads a file hands them out. */
export async function* reused(bytes: Buffer, size: number): AsyncGenerator<Buffer> {
  const memory = Buffer.alloc(size)
  for (const chunk of chunked(bytes, size)) {
    await Promise.resolve()
    yield memory.subarray(0, chunk.copy(memory))
  }
}
