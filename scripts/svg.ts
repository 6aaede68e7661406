/** The parts of SVG that docs/move.svg uses. Colours are classes, so that they follow a dark theme. */

export type Point = readonly [x: number, y: number]

export interface Plot {
  /** Converts a value to a coordinate of the picture. */
  readonly x: (value: number) => number
  readonly y: (value: number) => number
  readonly frame: readonly string[]
}

export interface PlotOptions {
  readonly left: number
  readonly top: number
  readonly width: number
  readonly height: number
  readonly x: readonly [least: number, most: number]
  readonly y: readonly [least: number, most: number]
  readonly xTitle: string
  readonly yTitle: string
}

const TICKS = 6

export function plot(options: PlotOptions): Plot {
  const { left, top, width, height, xTitle, yTitle } = options
  const scale =
    ([least, most]: readonly [number, number], length: number) =>
    (value: number) =>
      ((value - least) / (most - least)) * length
  const across = scale(options.x, width)
  const up = scale(options.y, height)
  const x = (value: number) => round(left + across(value))
  const y = (value: number) => round(top + height - up(value))
  const middle = top + height / 2
  const frame = [
    ...ticksOf(options.y).flatMap((value) => [
      `<path class="grid" d="M${left} ${y(value)}h${width}"/>`,
      text(left - 7, y(value) + 4, number(value), 'end small'),
    ]),
    ...ticksOf(options.x).map((value) =>
      text(x(value), top + height + 17, number(value), 'middle small'),
    ),
    `<path class="axis" d="M${left} ${top}v${height}h${width}"/>`,
    text(left + width / 2, top + height + 36, xTitle, 'middle small'),
    `<text class="middle small" transform="translate(${left - 42},${middle}) rotate(-90)">${yTitle}</text>`,
  ]
  return { x, y, frame }
}

export function line({ x, y }: Plot, points: readonly Point[], kind: string): string {
  const places = points.map(([across, up]) => `${x(across)} ${y(up)}`)
  return `<path class="line ${kind}" d="M${places.join('L')}"/>`
}

export function text(x: number, y: number, words: string, kind = ''): string {
  return `<text${kind === '' ? '' : ` class="${kind}"`} x="${round(x)}" y="${round(y)}">${words}</text>`
}

function ticksOf([least, most]: readonly [number, number]): number[] {
  const step = [1, 2, 5, 10, 20, 50].find((each) => (most - least) / each <= TICKS) ?? 100
  const ticks = []
  for (let at = Math.ceil(least / step) * step; at <= most; at += step) ticks.push(at)
  return ticks
}

function number(value: number): string {
  return value < 0 ? `−${-value}` : `${value}`
}

function round(value: number): number {
  return Math.round(value * 100) / 100
}

/** Plain rules, because not every program that shows SVG supports custom properties. */
function coloured(palette: Palette): string {
  const { ground, ink, dim, grid, source, destination, bad, good, past } = palette
  return `
text { fill: ${ink} }
.ground { fill: ${ground} }
.small { fill: ${dim} }
text.source { fill: ${source} }
text.destination { fill: ${destination} }
text.bad, text.past { fill: ${bad} }
text.good { fill: ${good} }
rect.past { fill: ${past} }
.grid { stroke: ${grid} }
.axis, .line.cut { stroke: ${dim} }
.line { stroke: ${ink} }
.line.source, .line.on-first { stroke: ${source} }
.line.destination, .line.on-second { stroke: ${destination} }
.line.back { stroke: ${bad} }`
}

type Palette = Readonly<
  Record<
    'ground' | 'ink' | 'dim' | 'grid' | 'source' | 'destination' | 'bad' | 'good' | 'past',
    string
  >
>

const light: Palette = {
  ground: '#ffffff',
  ink: '#24292f',
  dim: '#59636e',
  grid: '#e3e6ea',
  source: '#0b63ce',
  destination: '#b35900',
  bad: '#cf222e',
  good: '#1a7f37',
  past: '#fdecee',
}

const dark: Palette = {
  ground: '#0d1117',
  ink: '#e6edf3',
  dim: '#9aa4af',
  grid: '#262c34',
  source: '#6cb0ff',
  destination: '#ffab5e',
  bad: '#ff7b72',
  good: '#56d364',
  past: '#2b1416',
}

const style = `
text { font: 13px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif }
.title { font-size: 15px; font-weight: 600 }
.small, .past, .account { font-size: 12px }
.middle { text-anchor: middle }
.end { text-anchor: end }
.label, .bad, .good { font-weight: 600 }
.axis, .line { fill: none }
.line { stroke-width: 1.5 }
.line.guest { stroke-width: 4; stroke-linecap: round }
.line.stopped { stroke-dasharray: 3 3 }
.line.cut { stroke-width: 1; stroke-dasharray: 1 3 }
.line.back { stroke-width: 3 }
${coloured(light)}
@media (prefers-color-scheme: dark) {${coloured(dark)}
}
`

export interface SvgDocument {
  readonly width: number
  readonly height: number
  readonly title: string
  readonly description: string
  readonly content: string
}

export function svgDocument({ width, height, title, description, content }: SvgDocument): string {
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img">
<title>${title}</title>
<desc>${description}</desc>
<style>${style}</style>
<rect class="ground" width="${width}" height="${height}" rx="8"/>
${content}
</svg>
`
}
