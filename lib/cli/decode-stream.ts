import type { QemuLibvirtImage, QemuSection, QemuStream, QemuTimebase } from '../vmstate/index.ts'
import { grouped, seconds, table, timeOfDay } from './print.ts'
import { indent, structLines } from './tree.ts'

/** The frequency of a pseries guest's timebase. */
const PSERIES_HZ = 512_000_000n

/** How many commands the summary names, equal ones in a row taken together. */
const SHOWN_COMMANDS = 16

/** A migration stream as text; with `all` every field of every device. */
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
  const { libvirt, snapshot, trailingBytes } = stream
  const ram = ramBlocks.reduce((sum, { length }) => sum + length, 0n)
  const [largest] = [...ramBlocks].sort((a, b) => (a.length < b.length ? 1 : -1))
  return [
    ...(libvirt === undefined ? [] : [['libvirt image', libvirtText(libvirt)]]),
    ...(snapshot === undefined
      ? []
      : [['qcow2 image', `its snapshot ${snapshot.name} (id ${snapshot.id})`]]),
    ['machine', machine ?? 'not named: pseries-2.3 or older, or devices only'],
    ...(capabilities.length > 0 ? [['capabilities', capabilities.join(', ')]] : []),
    ...(uuid === undefined ? [] : [['uuid', uuid]]),
    ...(largest === undefined ? [] : [['RAM', ramText(ram, ramBlocks.length, largest.name)]]),
    ['hash page table', htabShift === undefined ? 'none' : mebibytes(1n << BigInt(htabShift))],
    ...(commands.length > 0 ? [['commands', commandsText(commands)]] : []),
    ['description', described ? 'yes' : 'none: the timebase was searched for'],
    ...(trailingBytes === undefined
      ? []
      : [['behind the stream', `${grouped(trailingBytes)} bytes, which are not part of it`]]),
  ]
}

function libvirtText({ domain, machine, format, streamOffset }: QemuLibvirtImage): string {
  const named = domain === undefined ? 'of an unnamed domain' : `of the domain ${domain}`
  const type = machine === undefined ? '' : `, machine ${machine}`
  return `${named}${type}; format ${format}; the stream begins at byte ${streamOffset}`
}

/** The names of the commands; equal ones in a row are counted, and there can be very many. */
function commandsText(commands: QemuStream['commands']): string {
  const runs: { name: string; count: number }[] = []
  for (const { name } of commands) {
    const last = runs.at(-1)
    if (last?.name === name) last.count++
    else runs.push({ name, count: 1 })
  }
  const shown = runs
    .slice(0, SHOWN_COMMANDS)
    .map(({ name, count }) => (count === 1 ? name : `${name} × ${count}`))
  const left = runs.slice(SHOWN_COMMANDS).reduce((sum, { count }) => sum + count, 0)
  return left === 0 ? shown.join(', ') : `${shown.join(', ')} … ${left} more`
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

/** The sections in order. All parts of a section are one row, in the place of the first. */
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

/** The values that a load needs or a reader may look for, and that QEMU does not write. */
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
