/** Checks for JSON from an untrusted source: how deep it is, how large, and whether a key is there twice. */

/** A value that JSON.parse can return. */
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json }

export interface JsonSurvey {
  /** How deep arrays and objects are nested. */
  readonly depth: number
  /** How many arrays and objects there are. */
  readonly nodes: number
  /** How many keys there are, counted as the colons outside of strings. */
  readonly keys: number
}

const QUOTE = 0x22
const BACKSLASH = 0x5c
const COLON = 0x3a
const OPENING_BRACKET = 0x5b
const CLOSING_BRACKET = 0x5d
const OPENING_BRACE = 0x7b
const CLOSING_BRACE = 0x7d

/**
 * Measures JSON without parsing it, so that a limit can be checked before JSON.parse and before a walk by
 * recursion. The counts mean nothing if the text is not valid JSON.
 */
export function surveyJson(text: string): JsonSurvey {
  let depth = 0
  let level = 0
  let nodes = 0
  let keys = 0
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code === QUOTE) at = endOfString(text, at + 1)
    else if (code === COLON) keys++
    else if (code === OPENING_BRACE || code === OPENING_BRACKET) {
      nodes++
      level++
      if (level > depth) depth = level
    } else if (code === CLOSING_BRACE || code === CLOSING_BRACKET) level--
  }
  return { depth, nodes, keys }
}

/**
 * The index of the quote that ends a string. It is searched for, since most of a text is in strings, and a
 * process that parses one text and ends does so before V8 has compiled a loop.
 */
function endOfString(text: string, start: number): number {
  let end = text.indexOf('"', start)
  while (end >= 0 && isEscaped(text, end)) end = text.indexOf('"', end + 1)
  return end < 0 ? text.length : end
}

/** Whether an odd number of backslashes is before a character. */
function isEscaped(text: string, at: number): boolean {
  let first = at
  while (text.charCodeAt(first - 1) === BACKSLASH) first--
  return (at - first) % 2 === 1
}

/**
 * How many keys a value has at all depths. If its text had more, a key was there twice: JSON.parse keeps
 * the last value of such a key without an error.
 */
export function countKeys(json: Json): number {
  if (typeof json !== 'object' || json === null) return 0
  const values = Object.values(json)
  let keys = Array.isArray(json) ? 0 : values.length
  for (const value of values) if (typeof value === 'object') keys += countKeys(value)
  return keys
}
