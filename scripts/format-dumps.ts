import { serializeTimebase } from '../lib/timebase/state.ts'
import type { TimebaseState } from '../lib/timebase/state.ts'
import {
  cpuTimebase,
  encode,
  spapr,
  stateToCpuTimebase,
  stateToQemuTimebase,
} from '../lib/vmstate/index.ts'

/** The guest that is shown in all formats: it has run for a day, on a host that has been up for ten. */
export const example: TimebaseState = {
  guestTimebase: 512_000_000n * 86_400n + 1n,
  timeOfDayNs: 1_378_199_251_123_456_789n,
  timebaseFrequency: 512_000_000n,
  uncertaintyNs: 40n,
  offset: BigInt.asUintN(64, -(1n << 24n) * 23_730_468n),
  vcpus: [{ id: 0, decExpiry: 512_000_000n * 86_400n + 5_120_001n }],
}

type Row = readonly [bytes: number, name: string, value: bigint | number | string]

/** One row for each field: its position, bytes, name and value. */
function fieldRows(bytes: Uint8Array, rows: readonly Row[]): string {
  let offset = 0
  const lines = rows.map(([length, name, value]) => {
    const start = offset
    offset += length
    return `${address(start)}  ${hex(bytes.subarray(start, offset)).padEnd(23)}  ${name.padEnd(23)}${value}`
  })
  if (offset !== bytes.length) throw new Error(`the rows have ${offset} of ${bytes.length} bytes`)
  return lines.join('\n')
}

/** Sixteen bytes a row, and their characters. */
function textRows(bytes: Uint8Array): string {
  const starts = Array.from({ length: Math.ceil(bytes.length / 16) }, (_, row) => row * 16)
  return starts
    .map((start) => {
      const row = bytes.subarray(start, start + 16)
      return `${address(start)}  ${hex(row).padEnd(47)}  ${Buffer.from(row).toString('latin1')}`
    })
    .join('\n')
}

function address(offset: number): string {
  return offset.toString(16).padStart(4, '0')
}

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(' ')
}

function cpuTimebaseDump(): string {
  const state = stateToCpuTimebase(example)
  return fieldRows(encode(cpuTimebase, state), [
    [8, 'timebase', state.timebase],
    [8, 'tb_offset', state.tb_offset],
    [8, 'time_of_the_day', state.time_of_the_day],
    [4, 'tb_freq', state.tb_freq],
  ])
}

function spaprDump(): string {
  const tb = stateToQemuTimebase(example)
  const name = 'spapr_patb_entry'
  const table = { patb_entry: 0x8000_0000_0123_0000n }
  return fieldRows(encode(spapr, { tb, patb_entry: table }), [
    [8, 'tb.guest_timebase', tb.guest_timebase],
    [8, 'tb.time_of_the_day_ns', tb.time_of_the_day_ns],
    [1, 'subsection', ''],
    [1, 'length of its name', name.length],
    [8, 'its name', `"${name.slice(0, 8)}`],
    [8, '', `${name.slice(8)}"`],
    [4, 'its version', spapr.subsections['patb_entry']?.versionId ?? '?'],
    [8, 'patb_entry', table.patb_entry],
  ])
}

const dumps: Readonly<Record<string, () => string>> = {
  'cpu/timebase': cpuTimebaseDump,
  spapr: spaprDump,
  json: () => textRows(new TextEncoder().encode(serializeTimebase(example))),
}

/** Replaces each dump below a `<!-- dump: name -->` by the one that the code makes now. */
export function withDumps(text: string): string {
  return text.replaceAll(
    /(<!-- dump: (\S+) -->\n\n```text\n).*?(```\n)/gs,
    (_, before: string, name: string, after: string) => {
      const dump = dumps[name]
      if (dump === undefined) throw new Error(`there is no dump of ${name}`)
      const lines = dump().split('\n')
      return `${before}${lines.map((line) => `${line.trimEnd()}\n`).join('')}${after}`
    },
  )
}

export const dumpNames = Object.keys(dumps)
