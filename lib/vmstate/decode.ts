import { checkInteger, checkObject, checkOptionNames, checkUint8Array, shown } from '../checks.ts'
import { checkDescription } from './description.ts'
import type {
  ArrayKind,
  Count,
  ElementKind,
  EqualKind,
  FieldKind,
  StructKind,
  StructPointerKind,
  VmstateDescription,
} from './kinds.ts'
import { VmstateReader } from './reader.ts'
import { checkScalar } from './scalars.ts'
import { SUBSECTION_MARK } from './subsection.ts'
import type { DestinationOf, StateOf } from './types.ts'

/**
 * The options of {@link decode}.
 *
 * @group Encoding and decoding
 */
export interface DecodeOptions<Destination = unknown> {
  /** The version of the bytes, which a stream has in front of them. The default is the newest. */
  readonly versionId?: number
  /**
   * The state of the destination: the values that `equal` fields must have, and an object for each
   * pointer that the bytes have a struct for. With `'unknown'` nothing is compared: use it to look at bytes
   * that are not loaded anywhere.
   */
  readonly destination?: Destination | 'unknown'
}

/** The options, which may be left out if the description needs nothing from the destination. */
type OptionsFor<D> = [DestinationOf<D>] extends [never]
  ? [options?: DecodeOptions<never>]
  : unknown extends DestinationOf<D>
    ? [options?: DecodeOptions]
    : [options: DecodeOptions<DestinationOf<D>> & { destination: unknown }]

type Values = Record<string, unknown>

/**
 * Reads a state from the bytes that a description describes. The bytes must be the fields and subsections
 * alone, without the header and the footer that a section has in a stream, and nothing may follow them.
 * Integers of 64 bits become bigints, others numbers.
 *
 * The rules are those of `vmstate_load_state` in QEMU's migration/vmstate.c. Each length is compared with
 * the number of bytes that are left before memory is allocated for it.
 *
 * @param description the format of the bytes
 * @param bytes the bytes of one VMState, from its first field on
 * @param options the version of the bytes, and the destination to compare with
 * @throws VmstateError with the path of the field in its message, and the byte in `offset`:
 *   ERR_VMSTATE_TRUNCATED for bytes that end too soon, ERR_VMSTATE_VERSION for a version that the
 *   description does not read, ERR_VMSTATE_MISMATCH for an `equal` field that differs,
 *   ERR_VMSTATE_MISSING for an `equal` field or a pointer that the destination does not have,
 *   ERR_VMSTATE_UNSUPPORTED for an unknown subsection, ERR_VMSTATE_FORMAT for everything else
 * @throws TypeError, RangeError for a wrong argument
 * @example
 * ```ts
 * const { guest_timebase } = decode(timebase, bytes)
 * ```
 * @group Encoding and decoding
 */
export function decode<D extends VmstateDescription>(
  description: D,
  bytes: Uint8Array,
  ...[options = {}]: OptionsFor<D>
): StateOf<D> {
  checkDescription(description)
  checkUint8Array('bytes', bytes)
  checkObject('options', options)
  checkOptionNames('options', options, ['versionId', 'destination'])
  const { versionId = description.versionId, destination } = options as DecodeOptions
  checkInteger('options.versionId', versionId, 0xffff_ffff)
  const reader = new VmstateReader(bytes)
  reader.path.enter(description.name)
  const state = decodeDescription(reader, description, versionId, destination)
  if (reader.remaining > 0) refuseRest(reader, description)
  return state as StateOf<D>
}

function decodeDescription(
  reader: VmstateReader,
  description: VmstateDescription,
  versionId: number,
  destination: unknown,
): unknown {
  const { minimumVersionId, minimumVersionIdOld } = description
  if (versionId > description.versionId || versionId < minimumVersionIdOld) {
    refuseVersion(reader, description, versionId)
  }
  if (versionId < minimumVersionId) return description.loadStateOld?.(reader, versionId)
  const state: Values = {}
  for (const [name, field] of Object.entries(description.fields)) {
    reader.path.enter(name)
    const value = decodeField(reader, field, versionId, state, of(destination, name))
    if (value !== undefined) state[name] = value
    reader.path.leave()
  }
  decodeSubsections(reader, description, state, destination)
  return description.postLoad?.(state, versionId) ?? state
}

/** The destination's value of a field or an element. */
function of(destination: unknown, part: string | number): unknown {
  if (destination === 'unknown') return destination
  return typeof destination === 'object' ? (destination as Values | null)?.[part] : undefined
}

/** @returns the field's value; undefined if this version or state does not have the field */
function decodeField(
  reader: VmstateReader,
  field: FieldKind,
  versionId: number,
  earlier: Values,
  destination: unknown,
): unknown {
  switch (field.kind) {
    case 'since':
      if (versionId < field.versionId) return undefined
      return decodeField(reader, field.of, versionId, earlier, destination)
    case 'when':
      if (!field.condition(earlier, versionId)) return undefined
      return decodeField(reader, field.of, versionId, earlier, destination)
    case 'unused':
      reader.skip(field.length)
      return undefined
    case 'equal':
      return decodeEqual(reader, field, destination)
    case 'structPointer':
      return decodeStruct(reader, field, destinationOfPointer(reader, destination))
    default:
      return decodeElement(reader, field, earlier, destination)
  }
}

function decodeElement(
  reader: VmstateReader,
  element: ElementKind,
  earlier: Values,
  destination: unknown,
): unknown {
  switch (element.kind) {
    case 'integer':
      return reader.integer(element)
    case 'bool':
      return decodeBool(reader)
    case 'buffer':
      return reader.bytes(count(reader, element.length, earlier))
    case 'array':
      return decodeArray(reader, element, earlier, destination)
    case 'struct':
      return decodeStruct(reader, element, destination)
  }
}

function decodeBool(reader: VmstateReader): boolean {
  const value = reader.uint8()
  if (value > 1) {
    const problem = `${reader.path.toString()} must be 0 or 1, not ${value}`
    reader.fail('ERR_VMSTATE_FORMAT', problem, reader.offset - 1)
  }
  return value === 1
}

function decodeEqual(reader: VmstateReader, { of }: EqualKind, destination: unknown): unknown {
  const { path, offset } = reader
  const value = of.kind === 'bool' ? decodeBool(reader) : reader.integer(of)
  if (destination === 'unknown') return value
  if (destination === undefined) {
    const problem = `${path.toString()} is ${shown(value)} here, and options.destination has nothing to compare it with`
    reader.fail('ERR_VMSTATE_MISSING', problem, offset)
  }
  const own = checkScalar(() => path.in('options.destination'), destination, of)
  if (value !== own) {
    const problem = `${path.toString()} must be equal: it is ${shown(value)} here, and ${shown(own)} at the destination`
    reader.fail('ERR_VMSTATE_MISMATCH', problem, offset)
  }
  return value
}

function decodeArray(
  reader: VmstateReader,
  array: ArrayKind,
  earlier: Values,
  destination: unknown,
): unknown[] {
  const length = count(reader, array.count, earlier)
  reader.expect(length * array.smallest)
  const values: unknown[] = []
  for (let index = 0; index < length; index++) {
    reader.path.enterElement(index)
    values.push(decodeElement(reader, array.of, earlier, of(destination, index)))
    reader.path.leave()
  }
  return values
}

function count(reader: VmstateReader, count: Count, earlier: Values): number {
  if (typeof count === 'number') return count
  const value = earlier[count]
  if (typeof value !== 'number') {
    const problem = `${reader.path.toString()} has as many elements as ${count} says, which is not there`
    reader.fail('ERR_VMSTATE_MISSING', problem)
  }
  if (value < 0) {
    const problem = `${reader.path.toString()} cannot have ${value} elements, as ${count} says`
    reader.fail('ERR_VMSTATE_FORMAT', problem)
  }
  return value
}

function decodeStruct(
  reader: VmstateReader,
  { description, versionId }: StructKind | StructPointerKind,
  destination: unknown,
): unknown {
  if (destination !== undefined && destination !== 'unknown') {
    checkObject(reader.path.in('options.destination'), destination)
  }
  return decodeDescription(reader, description, versionId, destination)
}

function destinationOfPointer(reader: VmstateReader, destination: unknown): unknown {
  if (destination === undefined || destination === null) {
    const problem = `${reader.path.toString()} is here, and the destination has none to load it into`
    reader.fail('ERR_VMSTATE_MISSING', problem)
  }
  return destination
}

/**
 * Reads subsections by the rule of QEMU's `vmstate_subsection_load`: a mark and a name that begins with
 * this description's name is a subsection of it. Anything else is left to the description around this one.
 */
function decodeSubsections(
  reader: VmstateReader,
  description: VmstateDescription,
  state: Values,
  destination: unknown,
): void {
  for (;;) {
    const name = subsectionName(reader)
    if (name === undefined || name === description.name || !name.startsWith(description.name))
      return
    const found = Object.entries(description.subsections).find(([, { name: own }]) => own === name)
    if (found === undefined) {
      const problem = `${reader.path.toString()} has no subsection ${shown(name)}`
      reader.fail('ERR_VMSTATE_UNSUPPORTED', problem)
    }
    const [key, subsection] = found
    reader.path.enter(key)
    if (Object.hasOwn(state, key)) {
      reader.fail('ERR_VMSTATE_FORMAT', `${reader.path.toString()} is here a second time`)
    }
    reader.skip(2 + name.length)
    const versionId = reader.uint32()
    state[key] = decodeDescription(reader, subsection, versionId, of(destination, key))
    reader.path.leave()
  }
}

/** The name of the subsection that begins here, if one does. */
function subsectionName(reader: VmstateReader): string | undefined {
  const length = reader.peek(1)
  if (reader.peek(0) !== SUBSECTION_MARK || length === undefined) return undefined
  const name = reader.peekAscii(2, length)
  return name.length === length ? name : undefined
}

function refuseVersion(
  reader: VmstateReader,
  { versionId: newest, minimumVersionIdOld: oldest }: VmstateDescription,
  versionId: number,
): never {
  const known = newest === oldest ? `version ${newest}` : `versions ${oldest} to ${newest}`
  const problem = `${reader.path.toString()} has version ${versionId}, and this description reads ${known}`
  reader.fail('ERR_VMSTATE_VERSION', problem)
}

function refuseRest(reader: VmstateReader, { name }: VmstateDescription): never {
  const subsection = subsectionName(reader)
  const what =
    subsection === undefined ? '' : `, a subsection ${shown(subsection)} by the look of it`
  const problem = `${name} ends here, and ${reader.remaining} bytes follow${what}`
  reader.fail('ERR_VMSTATE_FORMAT', problem)
}
