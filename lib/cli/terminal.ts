import { stripVTControlCharacters, styleText } from 'node:util'

/** How the command line looks on a terminal. */

type Format = Parameters<typeof styleText>[0]

/** Coloured if standard output is a terminal; as everywhere in Node, NO_COLOR and FORCE_COLOR have their say. */
export function styled(format: Format, text: string): string {
  return styleText(format, text, { stream: process.stdout })
}

export function heading(text: string): string {
  return styled('bold', text)
}

/**
 * How many columns there are to fill: those of the terminal, or COLUMNS where a terminal is further
 * down the pipe. Infinity elsewhere: what reads it there wants one line for one thing.
 */
export function outputWidth(): number {
  if (process.stdout.isTTY) return process.stdout.columns
  const columns = Number(process.env['COLUMNS'])
  return Number.isInteger(columns) && columns > 0 ? columns : Infinity
}

/** A paragraph as lines of so many columns, as far as its words allow. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = []
  let line = ''
  for (const word of text.split(' ')) {
    if (line !== '' && visibleLength(line) + 1 + visibleLength(word) > width) {
      lines.push(line)
      line = word
    } else {
      line = line === '' ? word : `${line} ${word}`
    }
  }
  return [...lines, line]
}

/** Without what colours it. */
export function visibleLength(text: string): number {
  return stripVTControlCharacters(text).length
}

export function pad(text: string, width: number): string {
  return text + ' '.repeat(Math.max(0, width - visibleLength(text)))
}

export function padStart(text: string, width: number): string {
  return ' '.repeat(Math.max(0, width - visibleLength(text))) + text
}

/** Lines longer than this are hard to read, however wide the terminal is. */
const MAX_TEXT_WIDTH = 100
const DEFAULT_TEXT_WIDTH = 80

/** The columns that running text fills. */
export function textWidth(): number {
  const width = outputWidth()
  return width === Infinity ? DEFAULT_TEXT_WIDTH : Math.min(width, MAX_TEXT_WIDTH)
}

export function paragraph(text: string): string {
  return wrap(text, textWidth()).join('\n')
}
