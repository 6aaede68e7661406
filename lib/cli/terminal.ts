import { stripVTControlCharacters, styleText } from 'node:util'

/** Colours and widths of the command line's output. */

type Format = Parameters<typeof styleText>[0]

/** Coloured if standard output is a terminal; NO_COLOR and FORCE_COLOR work as in Node. */
export function styled(format: Format, text: string): string {
  return styleText(format, text, { stream: process.stdout })
}

export function heading(text: string): string {
  return styled('bold', text)
}

/**
 * The width of the output: that of the terminal, or COLUMNS if the output is piped to something that
 * shows it on one. Otherwise it is Infinity, since a program that reads the output wants whole lines.
 */
export function outputWidth(): number {
  if (process.stdout.isTTY) return process.stdout.columns
  const columns = Number(process.env['COLUMNS'])
  return Number.isInteger(columns) && columns > 0 ? columns : Infinity
}

/** Breaks a paragraph into lines of at most `width` columns; a longer word stays whole. */
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

/** The number of columns of a text, without its colour codes. */
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

/** The width of running text, in columns. */
export function textWidth(): number {
  const width = outputWidth()
  return width === Infinity ? DEFAULT_TEXT_WIDTH : Math.min(width, MAX_TEXT_WIDTH)
}

export function paragraph(text: string): string {
  return wrap(text, textWidth()).join('\n')
}
