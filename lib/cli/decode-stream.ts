import type { QemuSection, QemuStream, QemuTimebase } from '../vmstate/index.ts'
import { grouped, seconds, table, timeOfDay } from './print.ts'
import { indent, structLines } from './tree.ts'

/** What a pseries guest's timebase counts a second. */
const PSERIES_HZ = 512_000_000n

/** A migration stream in words; with `all` every field of every device. */
export function streamText(stream: QemuStream, all: boolean): string {
  return [
    "A migration stream of QEMU's\n",
    table(summary(stream)),
    `\nTimebase\n${timebaseText(stream.timebase)}`,
    `\nSections\n${indent(table(sectionRows(stream)).split('\n')).join('\n')}`,
    ...(all ? stream.devices.map(deviceText) : []),
    `\nNot in it: ${missing(stream).join('; ')}.`,
  ].join('\n')
}

function summary(stream: QemuStream): string[][] {
  const { machine, capabilities, uuid, ramBlocks, htabShift, commands, described } = stream
  const ram = ramBlocks.reduce((sum, { length }) => sum + length, 0n)
  const [largest] = [...ramBlocks].sort((a, b) => (a.length < b.length ? 1 : -1))
  return [
    ['machine', machine ?? 'not named: pseries-2.3 or older, or devices only'],
    ...(capabilities.length > 0 ? [['capabilities', capabilities.join(', ')]] : []),
    ...(uuid === undefined ? [] : [['uuid', uuid]]),
    ...(largest === undefined ? [] : [['RAM', ramText(ram, ramBlocks.length, largest.name)]]),
    ['hash page table', htabShift === undefined ? 'none' : mebibytes(1n << BigInt(htabShift))],
    ...(commands.length > 0 ? [['commands', commands.map(({ name }) => name).join(', ')]] : []),
    ['description', described ? 'yes' : 'none: the timebase was searched for'],
  ]
}

function ramText(bytes: bigint, blocks: number, largest: string): string {
  if (blocks === 1) return `${mebibytes(bytes)}: ${largest}`
  return `${mebibytes(bytes)} in ${blocks} blocks, the largest ${largest}`
}

function timebaseText(timebase: QemuTimebase): string {
  const { guestTimebase, timeOfDayNs, virtualClockTimebase, offset } = timebase
  const rows = [
    ['guest_timebase', grouped(guestTimebase), `at byte ${offset}; under KVM what the guest reads`],
    ['time_of_the_day', timeOfDay(timeOfDayNs), "by the source's clock"],
  ]
  if (virtualClockTimebase !== undefined) {
    const ran = seconds(virtualClockTimebase, PSERIES_HZ)
    rows.push([
      'virtual clock',
      grouped(virtualClockTimebase),
      `${ran}; under TCG what the guest reads`,
    ])
  }
  return indent(table(rows).split('\n')).join('\n')
}

/** The sections in order; all parts of one are a row, where the first of them is. */
function sectionRows({ sections, partSections }: QemuStream): string[][] {
  const rows = [['type', 'id', 'name', 'instance', 'version', 'at byte', 'bytes']]
  const seen = new Set<number>()
  for (const section of sections) {
    const { id, name, instance, version, offset } = section
    let { type, length }: { type: string; length: number } = section
    if (isPart(section)) {
      if (seen.has(id)) continue
      seen.add(id)
      const parts = sections.filter((other) => isPart(other) && other.id === id)
      type = `part × ${parts.length}`
      length = parts.reduce((sum, part) => sum + part.length, 0)
    }
    rows.push([type, ...[id, name, instance, version, offset, length].map(String)])
  }
  const listed = sections.filter(isPart).length
  if (partSections > listed) rows.push([`part × ${partSections - listed}`, '', 'not listed'])
  return rows
}

function isPart({ type }: QemuSection): boolean {
  return type === 'part'
}

function deviceText(device: QemuStream['devices'][number]): string {
  const { name, instance, version, offset, length } = device
  const heading = `\n${name}, instance ${instance}, version ${version}: ${length} bytes at byte ${offset}`
  return [heading, ...indent(structLines(device))].join('\n')
}

/** What a load needs or a reader may look for, and QEMU does not write. */
function missing({ described, timebase }: QemuStream): string[] {
  return [
    'the frequency of the timebase',
    "the vCPUs' TB_OFFSET and decrementers",
    'whether KVM or TCG ran the guest',
    ...(timebase.virtualClockTimebase === undefined ? ['the virtual clock'] : []),
    ...(described ? [] : ['what the devices hold']),
  ]
}

function mebibytes(bytes: bigint): string {
  return bytes % (1n << 20n) === 0n ? `${grouped(bytes >> 20n)} MiB` : `${grouped(bytes)} bytes`
}
