import { isUtf8 } from 'node:buffer'
import { countKeys, surveyJson } from '../../json.ts'
import type { Json } from '../../json.ts'
import { malformed, overLimit } from './errors.ts'
import { DESCRIPTION_DEPTH_LIMIT, DESCRIPTION_KEY_LIMIT, DESCRIPTION_NODE_LIMIT } from './limits.ts'

/**
 * Parses the JSON of a description. It must be valid UTF-8, have no key twice in one object, and be small
 * and flat enough to be parsed at once and walked by recursion.
 *
 * @param offset the offset of the JSON in the stream
 */
export function parseJson(bytes: Buffer, offset: number): Json {
  if (!isUtf8(bytes)) throw malformed('The description is not valid UTF-8', offset)
  const text = bytes.toString()
  const { depth, nodes, keys } = surveyJson(text)
  checkLimit('levels', depth, DESCRIPTION_DEPTH_LIMIT, offset)
  checkLimit('arrays and objects', nodes, DESCRIPTION_NODE_LIMIT, offset)
  checkLimit('keys', keys, DESCRIPTION_KEY_LIMIT, offset)
  let json: Json
  try {
    json = JSON.parse(text) as Json
  } catch (error) {
    throw malformed(`The description is not JSON: ${(error as Error).message}`, offset, error)
  }
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
