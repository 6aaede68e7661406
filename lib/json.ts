/** JSON of an unknown hand: what has to be known of it before it is parsed and walked by recursion. */

/** A value that JSON.parse can return. */
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json }

export interface JsonSurvey {
  /** The most arrays and objects within each other. */
  readonly depth: number
  /** How many arrays and objects there are. */
  readonly nodes: number
  /** How many keys: as many as colons outside of strings. */
  readonly keys: number
}

const QUOTE = 0x22
const BACKSLASH = 0x5c
const COLON = 0x3a
const OPENING_BRACKET = 0x5b
const CLOSING_BRACKET = 0x5d
const OPENING_BRACE = 0x7b
const CLOSING_BRACE = 0x7d

/** Looks over JSON in UTF-8, in one pass; of bytes that are no JSON it says anything. */
export function surveyJson(bytes: Uint8Array): JsonSurvey {
  let depth = 0
  let level = 0
  let nodes = 0
  let keys = 0
  let isInString = false
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at]
    if (byte === QUOTE) isInString = !isInString
    else if (isInString) {
      if (byte === BACKSLASH) at++
    } else if (byte === COLON) keys++
    else if (byte === OPENING_BRACE || byte === OPENING_BRACKET) {
      nodes++
      level++
      if (level > depth) depth = level
    } else if (byte === CLOSING_BRACE || byte === CLOSING_BRACKET) level--
  }
  return { depth, nodes, keys }
}

/**
 * How many keys a value has, through all its depth. Fewer than in its text, and one was there twice:
 * JSON.parse keeps the last value of such a key, and says nothing.
 */
export function countKeys(json: Json): number {
  if (typeof json !== 'object' || json === null) return 0
  const values = Object.values(json)
  let keys = Array.isArray(json) ? 0 : values.length
  for (const value of values) keys += countKeys(value)
  return keys
}
