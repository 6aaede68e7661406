import { isUtf8 } from 'node:buffer'
import { malformed, overLimit } from './errors.ts'
import { DESCRIPTION_DEPTH_LIMIT, DESCRIPTION_KEY_LIMIT, DESCRIPTION_NODE_LIMIT } from './limits.ts'

/** A value that JSON.parse can return. */
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json }

const QUOTE = 0x22
const BACKSLASH = 0x5c
const COLON = 0x3a
const OPENING_BRACKET = 0x5b
const CLOSING_BRACKET = 0x5d
const OPENING_BRACE = 0x7b
const CLOSING_BRACE = 0x7d

/**
 * JSON of an unknown hand: valid UTF-8, with no key twice in one object, and small and flat enough to
 * be parsed at once and walked by recursion.
 *
 * @param offset where in the stream it is
 */
export function parseJson(bytes: Buffer, offset: number): Json {
  if (!isUtf8(bytes)) throw malformed('The description is not valid UTF-8', offset)
  const { depth, nodes, keys } = survey(bytes)
  checkLimit('levels', depth, DESCRIPTION_DEPTH_LIMIT, offset)
  checkLimit('arrays and objects', nodes, DESCRIPTION_NODE_LIMIT, offset)
  checkLimit('keys', keys, DESCRIPTION_KEY_LIMIT, offset)
  let json: Json
  try {
    json = JSON.parse(bytes.toString()) as Json
  } catch (error) {
    throw malformed(`The description is not JSON: ${(error as Error).message}`, offset, error)
  }
  // JSON.parse keeps the last value of a key that is there twice, and says nothing.
  if (countKeys(json) !== keys) {
    throw malformed('The description has a key twice in one object', offset)
  }
  return json
}

function checkLimit(what: string, found: number, limit: number, offset: number): void {
  if (found > limit) {
    throw overLimit(`The description has ${found} ${what}, more than ${limit}`, offset)
  }
}

/** The greatest depth, how many arrays and objects, and how many keys: as many as colons outside of strings. */
function survey(bytes: Buffer): { depth: number; nodes: number; keys: number } {
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

function countKeys(json: Json): number {
  if (typeof json !== 'object' || json === null) return 0
  const values = Object.values(json)
  let keys = Array.isArray(json) ? 0 : values.length
  for (const value of values) keys += countKeys(value)
  return keys
}
