import { subsectionHeader } from './description.ts'
import type { DescribedDevice, DescribedField, DescribedStruct } from './description.ts'
import { malformed, overLimit } from './errors.ts'
import { decodeArray, decodeValue } from './integers.ts'
import { VALUE_LIMIT } from './limits.ts'
import type { QemuDevice, QemuStruct, QemuValue } from './types.ts'

const SUBSECTION = 0x05

/**
 * The prototype of objects whose keys come from a stream: an empty object without a prototype. With null as
 * the prototype V8 would make a slower hash table of each object.
 */
const NOTHING = Object.freeze(Object.create(null) as object)

/** Decodes devices by their descriptions. Parsing the description has checked the lengths. */
export class DeviceDecoder {
  #values = 0

  /**
   * @param bytes the bytes of the device, as many as the description says
   * @param offset the offset of these bytes in the stream
   */
  decode(described: DescribedDevice, version: number, bytes: Buffer, offset: number): QemuDevice {
    const { section: name, instance, name: vmsdName } = described
    const { fields, subsections } = this.#struct(described, { bytes, base: offset, position: 0 })
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

  #struct(described: DescribedStruct, cursor: Cursor): QemuStruct {
    this.#values += 1 + described.fields.length
    if (this.#values > VALUE_LIMIT) {
      throw overLimit(
        `More than ${VALUE_LIMIT} fields in the devices`,
        cursor.base + cursor.position,
      )
    }
    const fields = this.#fields(described.fields, cursor)
    const subsections = described.subsections.map((each) => {
      passSubsectionHeader(each, cursor)
      return this.#struct(each, cursor)
    })
    return { name: described.name ?? '', version: described.version ?? 0, fields, subsections }
  }

  /** Decodes fields. Fields with the same name are the elements of an array, described one by one. */
  #fields(described: readonly DescribedField[], cursor: Cursor): Record<string, QemuValue> {
    const fields = Object.create(NOTHING) as Record<string, QemuValue>
    let lists: Map<string, QemuValue[]> | undefined
    for (const field of described) {
      const { name, index } = field
      const before = fields[name]
      const value = this.#value(field, cursor)
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

  #value({ type, size, arrayLength, struct }: DescribedField, cursor: Cursor): QemuValue {
    if (struct !== undefined) {
      if (arrayLength === undefined) return this.#struct(struct, cursor)
      const elements: QemuStruct[] = []
      while (elements.length < arrayLength) elements.push(this.#struct(struct, cursor))
      return elements
    }
    const at = cursor.position
    cursor.position += size * (arrayLength ?? 1)
    return arrayLength === undefined
      ? decodeValue(type, size, cursor.bytes, at)
      : decodeArray(type, size, arrayLength, cursor.bytes, at)
  }
}

/** A position in the bytes of a device. */
interface Cursor {
  readonly bytes: Buffer
  /** The offset of the bytes in the stream. */
  readonly base: number
  /** How many of the bytes are decoded. */
  position: number
}

function passSubsectionHeader({ name = '', version = 0 }: DescribedStruct, cursor: Cursor): void {
  const { bytes, base, position } = cursor
  cursor.position += subsectionHeader(name)
  const isOne =
    bytes[position] === SUBSECTION &&
    bytes[position + 1] === name.length &&
    bytes.toString('latin1', position + 2, cursor.position - 4) === name &&
    bytes.readUInt32BE(cursor.position - 4) === version
  if (!isOne) {
    throw malformed(
      `By the description the subsection ${name}, version ${version}, must be here`,
      base + position,
    )
  }
}
