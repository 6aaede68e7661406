import { OneRegError } from '../errors.ts'
import { parseTimebase, STATE_TEXT_LIMIT } from '../timebase/state.ts'
import { cpu, cpuTimebase, decode, spapr, timebase } from '../vmstate/index.ts'
import { readStream } from '../vmstate/stream/read.ts'
import type { QemuStream } from '../vmstate/index.ts'
import { LIBVIRT_MAGIC } from '../vmstate/stream/libvirt.ts'
import { QCOW2_MAGIC } from '../vmstate/stream/snapshot-table.ts'
import { wrapperHint } from '../vmstate/stream/wrappers.ts'
import { streamText } from './decode-stream.ts'
import { openInput, readAll, textOf } from './input.ts'
import type { Input } from './input.ts'
import { grouped, json, printable, timeOfDay } from './print.ts'
import { indent, stateLines } from './tree.ts'

/** The most bytes of one VMState that are read. */
const BLOB_LIMIT = 64 * 1024 * 1024

/** The descriptions that `--format` can name, and the versions to try: the bytes do not say their own. */
const formats = {
  'cpu-timebase': { description: cpuTimebase, versions: [1] },
  cpu: { description: cpu, versions: [6, 5] },
  'qemu-timebase': { description: timebase, versions: [1] },
  spapr: { description: spapr, versions: [3, 2, 1] },
} as const

type Format = keyof typeof formats

export const formatNames = Object.keys(formats) as Format[]

export interface DecodeCommandOptions {
  readonly json?: boolean
  readonly all?: boolean
  readonly search?: boolean
  readonly snapshot?: string
  readonly format?: Format
}

/**
 * `decode`: prints the contents of a file, which may be a migration stream, a save image of libvirt, a
 * qcow2 image with a snapshot, the bytes of one VMState, or a saved timebase.
 */
export async function decodeFile(file: string, options: DecodeCommandOptions): Promise<number> {
  const input = await openInput(file)
  console.log(printable(await decoded(input, options)))
  return 0
}

async function decoded(input: Input, options: DecodeCommandOptions): Promise<string> {
  const { format } = options
  if (format !== undefined) return decodedBlob(await readAll(input, BLOB_LIMIT), format, options)
  const start = input.start.toString('latin1')
  if (start.startsWith(QCOW2_MAGIC) && input.file !== undefined) {
    await input.close()
    return decodedStream(await readStream(input.file, options, input.file), options)
  }
  if (start.startsWith('QEVM') || start === LIBVIRT_MAGIC) {
    return decodedStream(await readStream(input.chunks, options, input.file), options)
  }
  if (textOf(input.start).trimStart().startsWith('{')) {
    return decodedState(textOf(await readAll(input, STATE_TEXT_LIMIT)), options)
  }
  throw new OneRegError(
    'ERR_VMSTATE_FORMAT',
    `This is neither a migration stream of QEMU nor a saved timebase${wrapperHint(start)}; if it is the bytes of one VMState, name it with --format`,
  )
}

function decodedStream(stream: QemuStream, options: DecodeCommandOptions): string {
  const { all = false } = options
  return options.json
    ? json({ format: 'qemu-stream', ...stream, devices: all ? stream.devices : undefined })
    : streamText(stream, all)
}

function decodedBlob(bytes: Buffer, format: Format, options: DecodeCommandOptions): string {
  const { versionId, state } = decodeNewest(bytes, format)
  if (options.json) return json({ format, versionId, state })
  return [`${format}, version ${versionId}`, ...indent(stateLines(state))].join('\n')
}

/** Decodes by the newest version that fits the bytes. If none does, the newest version's error is thrown. */
function decodeNewest(
  bytes: Buffer,
  format: Format,
): { versionId: number; state: Readonly<Record<string, unknown>> } {
  const { description, versions } = formats[format]
  let newest: unknown
  for (const versionId of versions) {
    try {
      return { versionId, state: decode(description, bytes, { versionId, destination: 'unknown' }) }
    } catch (error) {
      newest ??= error
    }
  }
  throw newest
}

function decodedState(text: string, options: DecodeCommandOptions): string {
  const state = parseTimebase(text)
  if (options.json) return json({ format: 'kvm-ppc-onereg/timebase', ...state })
  return [
    'A saved timebase',
    ...indent(
      stateLines({
        guestTimebase: `${grouped(state.guestTimebase)} ticks at ${grouped(state.timebaseFrequency)} Hz`,
        timeOfDayNs: `${timeOfDay(state.timeOfDayNs)}, to ${grouped(state.uncertaintyNs)} ns`,
        offset: `${grouped(BigInt.asIntN(64, state.offset))} ticks`,
        ...(state.roundingTicks === undefined
          ? {}
          : { roundingTicks: `${grouped(state.roundingTicks)} ticks` }),
        ...(state.clock === undefined
          ? {}
          : {
              clock: state.clock.synchronised
                ? `synchronised, wrong by ${grouped(state.clock.maxErrorNs)} ns at most`
                : 'not synchronised',
            }),
        vcpus: state.vcpus,
      }),
    ),
  ].join('\n')
}
