import {
  checkBytes,
  checkInteger,
  checkObject,
  checkOptionNames,
  outOfRange,
  wrongType,
} from '../checks.ts'
import { VmstateError } from '../errors.ts'
import { checkDescription } from './description.ts'
import { uint32, uint8 } from './fields.ts'
import type {
  ArrayKind,
  Count,
  ElementKind,
  FieldKind,
  StructKind,
  StructPointerKind,
  VmstateDescription,
} from './kinds.ts'
import { Path } from './path.ts'
import { checkScalar } from './scalars.ts'
import { SUBSECTION_MARK } from './subsection.ts'
import { VmstateWriter } from './writer.ts'
import type { StateOf } from './types.ts'

/**
 * The options of {@link encode}.
 *
 * @group Encoding and decoding
 */
export interface EncodeOptions {
  /** The version to write, which a stream has in front of the bytes. The default is the newest. */
  readonly versionId?: number
}

type Values = Record<string, unknown>

/** The bytes so far, and the name of the field that is written next. */
interface Output {
  readonly writer: VmstateWriter
  readonly path: Path
}

/**
 * Writes a state as the bytes that a description describes: the fields, and the subsections that are
 * needed, without the header that a section has in a stream. Fields that the version does not have are not
 * written, even if the state has them.
 *
 * The rules are those of `vmstate_save_state` in QEMU's migration/vmstate.c.
 *
 * @param description the format to write
 * @param state the values of the fields
 * @param options the version to write
 * @throws TypeError, RangeError for a wrong argument, or a field of the state with a wrong type, range or
 *   length
 * @throws VmstateError ERR_VMSTATE_MISSING for a field, pointer or subsection that is optional in general,
 *   is needed for this version and state, and is missing
 * @example
 * ```ts
 * const bytes = encode(timebase, { guest_timebase: 1n, time_of_the_day_ns: 2n })
 * ```
 * @group Encoding and decoding
 */
export function encode<D extends VmstateDescription>(
  description: D,
  state: StateOf<D>,
  options: EncodeOptions = {},
): Uint8Array {
  checkDescription(description)
  checkObject('options', options)
  checkOptionNames('options', options, ['versionId'])
  const { versionId = description.versionId } = options
  const { minimumVersionId: oldest, versionId: newest } = description
  checkInteger('options.versionId', versionId)
  if (versionId < oldest || versionId > newest) {
    throw outOfRange('options.versionId', `from ${oldest} to ${newest}`, versionId)
  }
  const output = { writer: new VmstateWriter(), path: new Path() }
  output.path.enter(description.name)
  encodeDescription(output, description, state, versionId)
  return output.writer.finish()
}

function encodeDescription(
  output: Output,
  description: VmstateDescription,
  given: unknown,
  versionId: number,
): void {
  checkObject(output.path.toString(), given)
  const state = (description.preSave?.(given, versionId) ?? given) as Values
  const earlier: Values = {}
  for (const [name, field] of Object.entries(description.fields)) {
    output.path.enter(name)
    const value = state[name]
    if (encodeField(output, field, value, versionId, earlier)) earlier[name] = value
    output.path.leave()
  }
  encodeSubsections(output, description, state)
}

/** @returns whether the field was written and has a value, so that later fields may refer to it */
function encodeField(
  output: Output,
  field: FieldKind,
  value: unknown,
  versionId: number,
  earlier: Values,
): boolean {
  switch (field.kind) {
    case 'since':
      if (versionId < field.versionId) return false
      return encodeUncertain(output, field.of, value, versionId, earlier)
    case 'when':
      if (!field.condition(earlier, versionId)) return false
      return encodeUncertain(output, field.of, value, versionId, earlier)
    case 'unused':
      output.writer.zeros(field.length)
      return false
    case 'equal':
      encodeElement(output, field.of, value, earlier)
      return true
    case 'structPointer':
      mustBeThere(output, value)
      encodeStruct(output, field, value)
      return true
    default:
      encodeElement(output, field, value, earlier)
      return true
  }
}

/** Writes an optional field whose version or condition says that it must be there. */
function encodeUncertain(
  output: Output,
  field: FieldKind,
  value: unknown,
  versionId: number,
  earlier: Values,
): boolean {
  if (field.kind !== 'unused' && field.kind !== 'since' && field.kind !== 'when') {
    mustBeThere(output, value)
  }
  return encodeField(output, field, value, versionId, earlier)
}

function mustBeThere({ path }: Output, value: unknown): void {
  if (value === undefined || value === null) {
    throw new VmstateError(
      'ERR_VMSTATE_MISSING',
      `${path.toString()} must be written, and is missing`,
    )
  }
}

function encodeElement(
  output: Output,
  element: ElementKind,
  value: unknown,
  earlier: Values,
): void {
  const { writer, path } = output
  const nameOf = () => path.toString()
  switch (element.kind) {
    case 'integer':
      writer.integer(checkScalar(nameOf, value, element) as number | bigint, element)
      return
    case 'bool':
      writer.integer(Number(checkScalar(nameOf, value, element)), uint8)
      return
    case 'buffer':
      writer.bytes(
        new Uint8Array(checkBytes(path.toString(), value, count(output, element.length, earlier))),
      )
      return
    case 'array':
      encodeArray(output, element, value, earlier)
      return
    case 'struct':
      encodeStruct(output, element, value)
  }
}

function encodeArray(output: Output, array: ArrayKind, value: unknown, earlier: Values): void {
  const { path } = output
  if (!Array.isArray(value)) throw wrongType(path.toString(), 'an array', value)
  const length = count(output, array.count, earlier)
  if (value.length !== length) {
    throw outOfRange(path.toString(), `${length} elements long`, `${value.length} elements`)
  }
  for (let index = 0; index < length; index++) {
    path.enterElement(index)
    encodeElement(output, array.of, value[index], earlier)
    path.leave()
  }
}

function count({ path }: Output, count: Count, earlier: Values): number {
  if (typeof count === 'number') return count
  const value = earlier[count]
  if (typeof value === 'number') return value
  throw new VmstateError(
    'ERR_VMSTATE_MISSING',
    `${path.toString()} has as many elements as ${count} says, which is not there`,
  )
}

function encodeStruct(
  output: Output,
  { description, versionId }: StructKind | StructPointerKind,
  value: unknown,
): void {
  encodeDescription(output, description, value, versionId)
}

function encodeSubsections(
  output: Output,
  { subsections }: VmstateDescription,
  state: Values,
): void {
  const { writer, path } = output
  for (const [key, subsection] of Object.entries(subsections)) {
    const value = state[key]
    if (!(subsection.needed?.(state) ?? value !== undefined)) continue
    path.enter(key)
    mustBeThere(output, value)
    writer.integer(SUBSECTION_MARK, uint8)
    writer.integer(subsection.name.length, uint8)
    writer.bytes(Buffer.from(subsection.name, 'latin1'))
    writer.integer(subsection.versionId, uint32)
    encodeDescription(output, subsection, value, subsection.versionId)
    path.leave()
  }
}
