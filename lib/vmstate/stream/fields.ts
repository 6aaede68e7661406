import type { Parser } from './bytes.ts'
import { subsectionHeader } from './description.ts'
import type { DescribedDevice, DescribedField, DescribedStruct } from './description.ts'
import { malformed } from './errors.ts'
import { decodeArray, decodeValue } from './integers.ts'
import type { QemuDevice, QemuStruct, QemuValue } from './types.ts'

const SUBSECTION = 0x05

/**
 * The prototype of objects whose keys come from a stream: an empty object without a prototype. With null as
 * the prototype V8 would make a slower hash table of each object.
 */
const NOTHING = Object.freeze(Object.create(null) as object)

/** The bytes of a device, whose length and subsections were found to be as the description says. */
export interface PlacedDevice {
  readonly described: DescribedDevice
  /** Of the section in the stream. */
  readonly version: number
  readonly bytes: Buffer
  /** The offset of the bytes in the stream. */
  readonly offset: number
}

/** Decodes devices. Parsing the description has checked how many fields they have. */
export function* decodeDevices(devices: readonly PlacedDevice[]): Parser<QemuDevice[]> {
  const decoded: QemuDevice[] = []
  for (const device of devices) {
    decoded.push(decodeDevice(device))
    yield 'pause'
  }
  return decoded
}

function decodeDevice({ described, version, bytes, offset }: PlacedDevice): QemuDevice {
  const { section: name, instance, name: vmsdName } = described
  const { fields, subsections } = decodeStruct(described, { bytes, position: 0 })
  return {
    name,
    instance,
    ...(vmsdName === undefined ? {} : { vmsdName }),
    version,
    offset,
    length: bytes.length,
    fields,
    subsections,
  }
}

function decodeStruct(described: DescribedStruct, cursor: Cursor): QemuStruct {
  const { name = '', version = 0 } = described
  const fields = decodeFields(described.fields, cursor)
  const subsections = described.subsections.map((each) => {
    cursor.position += subsectionHeader(each.name)
    return decodeStruct(each, cursor)
  })
  return { name, version, fields, subsections }
}

/** Decodes fields. Fields with the same name are the elements of an array, described one by one. */
function decodeFields(
  described: readonly DescribedField[],
  cursor: Cursor,
): Record<string, QemuValue> {
  const fields = Object.create(NOTHING) as Record<string, QemuValue>
  let lists: Map<string, QemuValue[]> | undefined
  for (const field of described) {
    const { name, index } = field
    const before = fields[name]
    const value = decodeField(field, cursor)
    if (index === undefined && before === undefined) {
      fields[name] = value
      continue
    }
    lists ??= new Map()
    const list = lists.get(name) ?? (before === undefined ? [] : [before])
    list.push(value)
    lists.set(name, list)
    fields[name] = list
  }
  return fields
}

function decodeField(
  { type, size, arrayLength, struct }: DescribedField,
  cursor: Cursor,
): QemuValue {
  if (struct !== undefined) {
    if (arrayLength === undefined) return decodeStruct(struct, cursor)
    const elements: QemuStruct[] = []
    while (elements.length < arrayLength) elements.push(decodeStruct(struct, cursor))
    return elements
  }
  const at = cursor.position
  cursor.position += size * (arrayLength ?? 1)
  return arrayLength === undefined
    ? decodeValue(type, size, cursor.bytes, at)
    : decodeArray(type, size, arrayLength, cursor.bytes, at)
}

/** A position in the bytes of a device. */
interface Cursor {
  readonly bytes: Buffer
  /** How many of the bytes are decoded or checked. */
  position: number
}

/**
 * Checks that the headers of subsections are where the description has them. Everything else in a device has
 * the length that the description says, whatever its bytes are.
 *
 * @param offset the offset of the device's bytes in the stream
 */
export function checkSubsections(struct: DescribedStruct, bytes: Buffer, offset: number): void {
  checkStruct(struct, { bytes, position: 0 }, offset)
}

function checkStruct(described: DescribedStruct, cursor: Cursor, offset: number): void {
  if (!described.hasSubsections) {
    cursor.position += described.size
    return
  }
  for (const { struct, size, arrayLength = 1 } of described.fields) {
    if (struct?.hasSubsections !== true) {
      cursor.position += size * arrayLength
      continue
    }
    for (let index = 0; index < arrayLength; index++) checkStruct(struct, cursor, offset)
  }
  for (const subsection of described.subsections) {
    checkHeader(subsection, cursor, offset)
    checkStruct(subsection, cursor, offset)
  }
}

function checkHeader(
  { name = '', version = 0 }: DescribedStruct,
  cursor: Cursor,
  offset: number,
): void {
  const { bytes, position } = cursor
  cursor.position += subsectionHeader(name)
  const isOne =
    bytes[position] === SUBSECTION &&
    bytes[position + 1] === name.length &&
    bytes.toString('latin1', position + 2, cursor.position - 4) === name &&
    bytes.readUInt32BE(cursor.position - 4) === version
  if (!isOne) {
    throw malformed(
      `By the description the subsection ${name}, version ${version}, must be here`,
      offset + position,
    )
  }
}
