import type { Stay } from '../test/power/move/stay.ts'
import type { Recording } from '../test/power/move/record.ts'
import { line, plot, svgDocument, text } from './svg.ts'
import type { Plot, Point } from './svg.ts'

/** The content of docs/move.json, which `npm run power -- migrate --json` writes. */
export type RecordedMove = Recording & { readonly machine: string }

type Trip = Recording['trips'][number]

const titles = {
  'kvm-ppc-onereg': [
    'kvm-ppc-onereg',
    'The new offset is computed from the one that the kernel holds.',
  ],
  'remembered offset': [
    'The unrounded offset remembered, as by QEMU',
    'The kernel rounded it up, so the guest is taken back.',
  ],
} as const

const WIDTH = 1000
const HEIGHT = 720
const COLUMN = 490
/** The ranges of the lower graphs: time before and after the move, and the guest's timebase, both in ms. */
const AROUND_MS = 40
const DETAIL_MS = 45

/** Draws docs/move.svg: on the left the moves by this library, on the right those with a remembered offset. */
export function drawMove(recording: RecordedMove): string {
  const left = COLUMN - WIDTH / 2
  const backMost = mostBackward(recording.trips)
  const columns = recording.trips.map((trip, index) =>
    [
      `<g transform="translate(${index === 0 ? -left : WIDTH / 2},0)">`,
      text(58, 30, titles[trip.algorithm][0], 'title'),
      text(58, 50, titles[trip.algorithm][1]),
      ...overview(trip, recording),
      ...detail(trip, backMost, recording),
      '</g>',
    ].join('\n'),
  )
  const release = /^\d+\.\d+/.exec(recording.linux)?.[0] ?? recording.linux
  const source = [
    `Recorded on real KVM (Linux ${release}) in two emulated POWER9 hosts. A guest whose ${recording.vcpus} vCPUs do nothing but read their timebase moves`,
    'six times between them, and should go on each time where it stopped (option downtime: freeze). Dashed: it is on its way.',
  ]
  return svgDocument({
    width: WIDTH,
    height: HEIGHT,
    title: 'A guest’s timebase over six moves between two hosts',
    description:
      'Left, with kvm-ppc-onereg, the guest’s timebase goes on where it stopped. Right, where the unrounded offset is remembered, it goes back at some of the moves.',
    content: [
      ...columns,
      ...source.map((words, index) => text(58 - left, HEIGHT - 27 + 18 * index, words, 'small')),
    ].join('\n'),
  })
}

/** Both hosts' timebases and the guest's over the whole trip, in seconds. */
function overview(trip: Trip, { timebaseFrequency, difference }: Recording): string[] {
  const ticksPerSecond = Number(timebaseFrequency)
  const apart = BigInt(difference.ticks)
  const start = BigInt(trip.stays[0]?.from ?? 0)
  const seconds = (ticks: bigint) => Number(ticks) / ticksPerSecond
  const time = (stay: Stay, ticks: bigint) =>
    seconds(ticks - (stay.host === 'second' ? apart : 0n) - start)
  const last = trip.stays.at(-1)
  const end = last === undefined ? 0 : time(last, BigInt(last.until))
  const source = seconds(start)
  const destination = seconds(start + apart)
  const guest = trip.stays.map((stay) => ({
    stay,
    from: [time(stay, BigInt(stay.from)), seconds(guestAt(stay, stay.from))] as const,
    until: [time(stay, BigInt(stay.until)), seconds(guestAt(stay, stay.until))] as const,
  }))
  const values = [source, destination, source + end, ...guest.map(({ from }) => from[1])]
  const area = plot({
    left: 58,
    top: 74,
    width: COLUMN - 78,
    height: 240,
    x: [0, end],
    y: [Math.floor(Math.min(...values)), Math.ceil(Math.max(...values))],
    xTitle: 'time, s',
    yTitle: 'timebase, s (ticks ÷ 512 MHz)',
  })
  return [
    ...area.frame,
    line(
      area,
      [
        [0, source],
        [end, source + end],
      ],
      'source',
    ),
    line(
      area,
      [
        [0, destination],
        [end, destination + end],
      ],
      'destination',
    ),
    ...guest.slice(1).map(({ from }, index) => {
      const before = guest[index]?.until ?? from
      return line(area, [before, from], 'stopped')
    }),
    ...guest.map(({ stay, from, until }) => line(area, [from, until], `guest on-${stay.host}`)),
    label(area, [end * 0.5, source + end * 0.5], 'the source’s', 'source end', -12),
    label(area, [end * 0.55, destination + end * 0.55], 'the destination’s', 'destination', 18),
    label(area, guest.at(-3)?.from ?? [0, 0], 'the guest’s', '', 26),
  ]
}

function label(area: Plot, [x, y]: Point, words: string, kind: string, down: number): string {
  return text(area.x(x), area.y(y) + down, words, `label ${kind}`)
}

/** The moment of one move, enlarged: the guest's timebase before it stopped and after it went on, in ms. */
function detail(trip: Trip, move: number, { timebaseFrequency }: Recording): string[] {
  const ms = (ticks: bigint) => (Number(ticks) * 1000) / Number(timebaseFrequency)
  const [before, after] = [trip.stays[move - 1], trip.stays[move]]
  if (before === undefined || after === undefined) throw new RangeError(`there is no move ${move}`)
  const jump = ms(jumpsOf(trip)[move - 1] ?? 0n)
  const area = plot({
    left: 58,
    top: 384,
    width: COLUMN - 78,
    height: 190,
    x: [-AROUND_MS, AROUND_MS],
    y: [-DETAIL_MS, DETAIL_MS],
    xTitle: `ms before the guest stopped, and after it went on (move ${move} of ${trip.stays.length - 1})`,
    yTitle: 'guest’s timebase, ms',
  })
  const [zero, top, bottom] = [area.x(0), area.y(DETAIL_MS), area.y(-DETAIL_MS)]
  const again = area.y(0)
  const isBack = jump < 0
  const words = isBack
    ? `${Math.abs(jump).toFixed(1)} ms back`
    : jump < 0.05
      ? 'goes on where it stopped'
      : `goes on ${jump.toFixed(1)} ms later`
  return [
    `<rect class="past" x="${zero}" y="${again}" width="${area.x(AROUND_MS) - zero}" height="${bottom - again}"/>`,
    ...area.frame,
    text(area.x(AROUND_MS) - 8, bottom - 10, 'times that the guest has had before', 'past end'),
    line(
      area,
      [
        [0, -DETAIL_MS],
        [0, DETAIL_MS],
      ],
      'cut',
    ),
    text(zero, top + 16, `${before.host === 'first' ? 'source' : 'destination'} `, 'end small'),
    text(zero + 6, top + 16, after.host === 'first' ? 'source' : 'destination', 'small'),
    line(
      area,
      [
        [-AROUND_MS, -AROUND_MS],
        [0, 0],
      ],
      `guest on-${before.host}`,
    ),
    ...(isBack
      ? [
          line(
            area,
            [
              [0, 0],
              [0, jump],
            ],
            'back',
          ),
        ]
      : [
          line(
            area,
            [
              [0, 0],
              [0, jump],
            ],
            'stopped',
          ),
        ]),
    line(
      area,
      [
        [0, jump],
        [Math.min(AROUND_MS, DETAIL_MS - jump), jump + Math.min(AROUND_MS, DETAIL_MS - jump)],
      ],
      `guest on-${after.host}`,
    ),
    text(zero + 12, area.y(Math.min(-27, jump - 7)), words, isBack ? 'bad' : 'good'),
    ...account(trip, ms).map((words, index) => text(58, 632 + 17 * index, words, 'account')),
  ]
}

/**
 * How far the guest's timebase jumped at each load, and how much of that the guest has seen. A vCPU sees
 * a jump back only if it reads its timebase again before as much time has passed as was lost. In an
 * emulated host it often starts too late for that, so the guest sees fewer jumps than there were.
 */
function account(trip: Trip, ms: (ticks: bigint) => number): string[] {
  const { reads = '0', backwardSteps = '0' } = trip.stays.at(-1) ?? {}
  const seen = Number(backwardSteps)
  const readings = (Number(reads) / 1e6).toFixed(1)
  const jumps = jumpsOf(trip).map((jump) => ms(jump))
  const back = jumps.filter((jump) => jump < 0).length
  const list = `Jumps at the ${jumps.length} moves, ms: ${jumps.map(signed).join(', ')}.`
  if (back === 0 && seen === 0) {
    return [list, `In ${readings} million readings the guest saw no jump back.`]
  }
  return [
    list,
    `${back} go back. The guest saw ${seen} of these in ${readings} million readings${seen < back ? ':' : '.'}`,
    ...(seen < back ? ['after the others its emulated vCPUs ran on too late to notice.'] : []),
  ]
}

function signed(value: number): string {
  const digits = Math.abs(value).toFixed(1)
  return digits === '0.0' ? '0' : `${value < 0 ? '−' : '+'}${digits}`
}

/** The guest's timebase at each load, less what it was at the save before: ticks. */
function jumpsOf({ stays }: Trip): bigint[] {
  return stays.slice(1).map((stay, index) => {
    const before = stays[index] ?? stay
    return guestAt(stay, stay.from) - guestAt(before, before.until)
  })
}

function guestAt({ offset }: Stay, hostTimebase: string): bigint {
  return BigInt(hostTimebase) + BigInt(offset)
}

/** The number, from 1, of the move that took a guest back the furthest. */
function mostBackward(trips: readonly Trip[]): number {
  const jumps = trips.flatMap((trip) =>
    jumpsOf(trip).map((jump, index) => ({ move: index + 1, jump })),
  )
  return jumps.reduce((least, one) => (one.jump < least.jump ? one : least)).move
}
