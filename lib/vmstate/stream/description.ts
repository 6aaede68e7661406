import type { Json } from '../../json.ts'
import { malformed, overLimit, truncated } from './errors.ts'
import { parseJson } from './json.ts'
import { DESCRIPTION_LIMIT, HELD_LIMIT, VALUE_LIMIT } from './limits.ts'
import { PAGE_SIZE } from './ram-pages.ts'

/** A field, as the description at the end of a stream describes it. */
export interface DescribedField {
  readonly name: string
  readonly type: string
  /** The size of one element in bytes, with everything inside it. */
  readonly size: number
  /** The number of elements of an array of which only the first element is described. */
  readonly arrayLength: number | undefined
  /** The index of an element of an array whose elements are described one by one. */
  readonly index: number | undefined
  readonly struct: DescribedStruct | undefined
}

export interface DescribedStruct {
  /** `vmsd_name`. Devices without a VMStateDescription have none. */
  readonly name: string | undefined
  readonly version: number | undefined
  readonly fields: readonly DescribedField[]
  readonly subsections: readonly DescribedStruct[]
  /** The size of fields and subsections together, in bytes. */
  readonly size: number
  /** How many fields and structures it has, with those inside it and in arrays. */
  readonly values: number
  /** Whether it or a structure inside it has subsections, whose headers are then among its bytes. */
  readonly hasSubsections: boolean
}

export interface DescribedDevice extends DescribedStruct {
  /** The section's name. */
  readonly section: string
  readonly instance: number
}

/** The place of a description, in offsets from the beginning of the bytes that it was found in. */
export interface DescriptionPlace {
  /** The offset of its mark. */
  readonly start: number
  /** The offset after its last byte. */
  readonly end: number
}

const MARK = 0x06
const END_MARK = 0x00
const BRACE = 0x7b
const CLOSING_BRACE = 0x7d
/** The mark, and the length of the JSON, u32. */
const HEADER_BYTES = 5

/**
 * Finds the description in bytes that end with one.
 *
 * JSON contains no NUL, so the last NUL is the end mark in front of the description or one of the bytes of
 * its length. Looking for the first brace would not do, since a byte of the length can have that value.
 *
 * @param offset the offset of the bytes in the stream
 * @returns undefined if the bytes do not end like that
 * @throws VmstateError for a length that does not reach to the end exactly
 */
export function findLastDescription(bytes: Buffer, offset: number): DescriptionPlace | undefined {
  const lastNul = bytes.lastIndexOf(0)
  for (let start = Math.max(1, lastNul - 4); start <= lastNul + 1; start++) {
    if (!beginsDescription(bytes, start)) continue
    checkLength(bytes.readUInt32BE(start + 1), bytes.length - start - HEADER_BYTES, offset + start)
    return { start, end: bytes.length }
  }
  return undefined
}

/**
 * Finds places that look like a description with other bytes behind it, at most `limit` of them. The
 * contents of a device can look like one as well.
 */
export function findDescriptions(bytes: Buffer, limit: number): DescriptionPlace[] {
  const found: DescriptionPlace[] = []
  // A plain loop, whose time does not depend on how often the first bytes of a description occur.
  for (let start = 1; start < bytes.length - HEADER_BYTES && found.length < limit; start++) {
    if (!beginsDescription(bytes, start)) continue
    const json = start + HEADER_BYTES
    const end = json + bytes.readUInt32BE(start + 1)
    if (end - json > DESCRIPTION_LIMIT || bytes[end - 1] !== CLOSING_BRACE) continue
    const nul = bytes.indexOf(0, json)
    if (nul === -1 || nul >= end) found.push({ start, end })
  }
  return found
}

function beginsDescription(bytes: Buffer, start: number): boolean {
  return (
    bytes[start] === MARK && bytes[start - 1] === END_MARK && bytes[start + HEADER_BYTES] === BRACE
  )
}

function checkLength(length: number, found: number, at: number): void {
  if (length > found) {
    throw truncated(`The description has ${length} bytes, of which ${found} are there`, at)
  }
  if (length < found) {
    throw malformed(`The description has ${length} bytes, and ${found} follow`, at)
  }
  if (length > DESCRIPTION_LIMIT) {
    throw overLimit(`The description has ${length} bytes, more than ${DESCRIPTION_LIMIT}`, at)
  }
}

/** Parses a description that was found in `bytes`, whose offset in the stream is `offset`. */
export function readDescription(
  bytes: Buffer,
  { start, end }: DescriptionPlace,
  offset: number,
): DescribedDevice[] {
  const json = start + HEADER_BYTES
  return parseDescription(bytes.subarray(json, end), offset + json)
}

function parseDescription(bytes: Buffer, offset: number): DescribedDevice[] {
  const at = new Place(offset)
  const json = at.object(parseJson(bytes, offset), 'it')
  const pageSize = at.size(json['page_size'], 'page_size')
  if (pageSize !== PAGE_SIZE) throw at.wrong('page_size', `${PAGE_SIZE}`, pageSize)
  let values = 0
  return at.array(json['devices'], 'devices').map((device, index) => {
    const path = `devices[${index}]`
    const held = at.object(device, path)
    const section = at.name(held['name'], `${path}.name`)
    const instance = at.integer(held['instance_id'], `${path}.instance_id`)
    const struct = parseStruct(held, path, at)
    values = at.values(values + struct.values)
    return { section, instance, ...struct }
  })
}

function parseStruct(json: Record<string, Json>, path: string, at: Place): DescribedStruct {
  const { vmsd_name: name, version, subsections = [] } = json
  const fields = at
    .array(json['fields'], `${path}.fields`)
    .map((field, index) => parseField(field, `${path}.fields[${index}]`, at))
  const parts = at
    .array(subsections, `${path}.subsections`)
    .map((subsection, index) => parseSubsection(subsection, `${path}.subsections[${index}]`, at))
  let size = 0
  let values = 1 + fields.length
  let hasSubsections = parts.length > 0
  for (const { size: one, arrayLength = 1, struct } of fields) {
    size += one * arrayLength
    if (struct === undefined) continue
    values += struct.values * arrayLength
    if (struct.hasSubsections) hasSubsections = true
  }
  for (const part of parts) {
    size += subsectionHeader(part.name) + part.size
    values += part.values
  }
  return {
    name: name === undefined ? undefined : at.name(name, `${path}.vmsd_name`),
    version: version === undefined ? undefined : at.integer(version, `${path}.version`),
    fields,
    subsections: parts,
    size: at.sum(size, path),
    values: at.values(values),
    hasSubsections,
  }
}

/** The size of a subsection's mark, name and version, in bytes. */
export function subsectionHeader(name = ''): number {
  return 1 + 1 + name.length + 4
}

function parseSubsection(json: Json, path: string, at: Place): DescribedStruct {
  const described = parseStruct(at.object(json, path), path, at)
  if (described.name === undefined) throw at.wrong(`${path}.vmsd_name`, 'a string', undefined)
  if (described.version === undefined) throw at.wrong(`${path}.version`, 'a number', undefined)
  return described
}

function parseField(json: Json, path: string, at: Place): DescribedField {
  const { name, type, size: held, index, array_len: length, struct } = at.object(json, path)
  const size = at.size(held, `${path}.size`)
  const field = {
    name: at.string(name, `${path}.name`),
    type: at.string(type, `${path}.type`),
    size,
    arrayLength: length === undefined ? undefined : at.size(length, `${path}.array_len`),
    index: index === undefined ? undefined : at.integer(index, `${path}.index`),
    struct:
      struct === undefined
        ? undefined
        : parseStruct(at.object(struct, `${path}.struct`), `${path}.struct`, at),
  }
  at.sum(size * (field.arrayLength ?? 1), path)
  if (field.struct !== undefined && field.struct.size !== size) {
    throw at.wrong(`${path}.size`, `${field.struct.size}, the size of the struct in it`, size)
  }
  return field
}

/** Checks values of the JSON. The errors name their path in it, and the offset of the JSON in the stream. */
class Place {
  readonly #offset: number

  constructor(offset: number) {
    this.#offset = offset
  }

  wrong(path: string, expected: string, found: Json | undefined): Error {
    const shown = found === undefined ? 'missing' : JSON.stringify(found).slice(0, 40)
    return malformed(
      `In the description, ${path} must be ${expected}, and is ${shown}`,
      this.#offset,
    )
  }

  object(value: Json | undefined, path: string): Record<string, Json> {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      throw this.wrong(path, 'an object', value)
    }
    return value
  }

  array(value: Json | undefined, path: string): Json[] {
    if (!Array.isArray(value)) throw this.wrong(path, 'an array', value)
    return value
  }

  string(value: Json | undefined, path: string): string {
    if (typeof value !== 'string') throw this.wrong(path, 'a string', value)
    return value
  }

  /** A name that fits into a stream, where its length is a u8. */
  name(value: Json | undefined, path: string): string {
    const name = this.string(value, path)
    if (/^[\x20-\x7e]{0,255}$/.test(name)) return name
    throw this.wrong(path, 'at most 255 printable characters of ASCII', value)
  }

  /** u32. */
  integer(value: Json | undefined, path: string): number {
    if (typeof value !== 'number' || !Number.isInteger(value) || value < 0 || value > 0xffff_ffff) {
      throw this.wrong(path, 'an integer from 0 to 2^32 - 1', value)
    }
    return value
  }

  /** A number of bytes or elements. */
  size(value: Json | undefined, path: string): number {
    if (typeof value !== 'number' || !Number.isInteger(value) || value < 0 || value > HELD_LIMIT) {
      throw this.wrong(path, `an integer from 0 to ${HELD_LIMIT}`, value)
    }
    return value
  }

  sum(size: number, path: string): number {
    if (size > HELD_LIMIT) {
      throw overLimit(
        `In the description, ${path} has ${size} bytes, more than ${HELD_LIMIT}`,
        this.#offset,
      )
    }
    return size
  }

  values(count: number): number {
    if (count > VALUE_LIMIT) {
      throw overLimit(`More than ${VALUE_LIMIT} fields in the devices`, this.#offset)
    }
    return count
  }
}
