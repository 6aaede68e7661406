import type { Stay } from '../test/power/move/stay.ts'
import type { Recording } from '../test/power/move/record.ts'
import { line, plot, svgDocument, text } from './svg.ts'
import type { Plot, Point } from './svg.ts'

/** What npm run power:migrate -- --json writes. */
export type RecordedMove = Recording & { readonly machine: string }

type Trip = Recording['trips'][number]

const titles = {
  'kvm-ppc-onereg': [
    'kvm-ppc-onereg',
    'The new offset is computed from the one that the kernel holds.',
  ],
  'remembered offset': [
    'The unrounded offset remembered, as by QEMU',
    'The kernel rounded it up: the guest has seen later times.',
  ],
} as const

const WIDTH = 1000
const HEIGHT = 720
const COLUMN = 490
/** How much of the time around a move the detail shows, and how much of the timebase, in ms. */
const AROUND_MS = 40
const DETAIL_MS = 45

/** The picture of docs/move.svg: on the left the moves by this library, on the right the same, remembered. */
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
    `Read on real KVM (Linux ${release}) of two emulated POWER9 hosts. A guest, whose ${recording.vcpus} vCPUs do nothing but read their timebase,`,
    'goes from one to the other and back three times, and is to go on each time where it stopped. Dashes: it is on its way.',
  ]
  return svgDocument({
    width: WIDTH,
    height: HEIGHT,
    title: 'A guest’s timebase over six moves between two hosts',
    description:
      'Left, with kvm-ppc-onereg, the guest’s timebase goes on where it stopped. Right, where the unrounded offset is remembered, it goes back at some of the moves.',
    content: [
      ...columns,
      ...source.map((words, index) => text(58 - left, HEIGHT - 33 + 18 * index, words, 'small')),
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

/** The moment of one move: what the guest's timebase was before it stopped and after it went on, in ms. */
function detail(trip: Trip, move: number, { timebaseFrequency }: Recording): string[] {
  const ms = (ticks: bigint) => (Number(ticks) * 1000) / Number(timebaseFrequency)
  const [before, after] = [trip.stays[move - 1], trip.stays[move]]
  if (before === undefined || after === undefined) throw new RangeError(`there is no move ${move}`)
  const step = ms(stepsOf(trip)[move - 1] ?? 0n)
  const area = plot({
    left: 58,
    top: 384,
    width: COLUMN - 78,
    height: 190,
    x: [-AROUND_MS, AROUND_MS],
    y: [-DETAIL_MS, DETAIL_MS],
    xTitle: `ms until the guest stopped, and from when it went on (move ${move} of ${trip.stays.length - 1})`,
    yTitle: 'guest’s timebase, ms',
  })
  const [zero, top, bottom] = [area.x(0), area.y(DETAIL_MS), area.y(-DETAIL_MS)]
  const again = area.y(0)
  const isBack = step < 0
  const words = isBack
    ? `${Math.abs(step).toFixed(1)} ms back`
    : step < 0.05
      ? 'goes on where it stopped'
      : `goes on ${step.toFixed(1)} ms later`
  return [
    `<rect class="past" x="${zero}" y="${again}" width="${area.x(AROUND_MS) - zero}" height="${bottom - again}"/>`,
    ...area.frame,
    text(area.x(AROUND_MS) - 8, bottom - 10, 'times that it has had before', 'past end'),
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
              [0, step],
            ],
            'back',
          ),
        ]
      : [
          line(
            area,
            [
              [0, 0],
              [0, step],
            ],
            'stopped',
          ),
        ]),
    line(
      area,
      [
        [0, step],
        [Math.min(AROUND_MS, DETAIL_MS - step), step + Math.min(AROUND_MS, DETAIL_MS - step)],
      ],
      `guest on-${after.host}`,
    ),
    text(zero + 12, area.y(Math.min(-27, step - 7)), words, isBack ? 'bad' : 'good'),
    ...account(trip, ms).map((words, index) => text(58, 638 + 18 * index, words, 'account')),
  ]
}

/** What the guest has to say of it, and how far its timebase moved at each of the moves. */
function account(trip: Trip, ms: (ticks: bigint) => number): string[] {
  const { reads = '0', backwardSteps = '0' } = trip.stays.at(-1) ?? {}
  const readings = (Number(reads) / 1e6).toFixed(1)
  const stepsBack = backwardSteps === '1' ? '1 step' : `${backwardSteps} steps`
  const steps = stepsOf(trip).map((step) => signed(ms(step)))
  return [
    `Steps at the ${steps.length} moves, ms: ${steps.join(', ')}.`,
    `In ${readings} million readings the guest saw ${stepsBack} back.`,
  ]
}

function signed(value: number): string {
  const digits = Math.abs(value).toFixed(1)
  return digits === '0.0' ? '0' : `${value < 0 ? '−' : '+'}${digits}`
}

/** How far the guest's timebase was from where it had been saved, at each load: ticks. */
function stepsOf({ stays }: Trip): bigint[] {
  return stays.slice(1).map((stay, index) => {
    const before = stays[index] ?? stay
    return guestAt(stay, stay.from) - guestAt(before, before.until)
  })
}

function guestAt({ offset }: Stay, hostTimebase: string): bigint {
  return BigInt(hostTimebase) + BigInt(offset)
}

/** Which move took a guest back the furthest, from 1. */
function mostBackward(trips: readonly Trip[]): number {
  const steps = trips.flatMap((trip) =>
    stepsOf(trip).map((step, index) => ({ move: index + 1, step })),
  )
  return steps.reduce((least, one) => (one.step < least.step ? one : least)).move
}
