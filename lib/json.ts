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
 * Measures JSON in UTF-8 without parsing it, so that a limit can be checked before JSON.parse and before a
 * walk by recursion. The counts mean nothing if the bytes are not valid JSON.
 */
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
 * How many keys a value has at all depths. If its text had more, a key was there twice: JSON.parse keeps
 * the last value of such a key without an error.
 */
export function countKeys(json: Json): number {
  if (typeof json !== 'object' || json === null) return 0
  const values = Object.values(json)
  let keys = Array.isArray(json) ? 0 : values.length
  for (const value of values) keys += countKeys(value)
  return keys
}
