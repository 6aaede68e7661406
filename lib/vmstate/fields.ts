import { checkInteger, checkObject, shown, wrongType, wrongValue } from '../checks.ts'
import { checkDescription } from './description.ts'
import type {
  ArrayKind,
  BufferKind,
  Condition,
  Count,
  ElementKind,
  EqualKind,
  FieldKind,
  SinceKind,
  StructKind,
  StructPointerKind,
  UnusedKind,
  VmstateDescription,
  WhenKind,
} from './kinds.ts'
import type { BoolKind, IntegerKind, ScalarKind } from './scalars.ts'
import type { DestinationOf, EachOf, ObjectOf, StateOf, Typed } from './types.ts'

/**
 * The kinds of fields. Each comment names the macro of QEMU (include/migration/vmstate.h) for the same kind.
 * All integers are big-endian.
 */

function integer<T extends number | bigint>(
  bits: IntegerKind['bits'],
  signed: boolean,
): IntegerKind & Typed<T> {
  return { kind: 'integer', bits, signed }
}

/**
 * 8 bits, from 0 to 2^8 - 1: a number (VMSTATE_UINT8).
 *
 * @group Describing a format
 */
export const uint8 = integer<number>(8, false)
/**
 * 16 bits, from 0 to 2^16 - 1: a number (VMSTATE_UINT16).
 *
 * @group Describing a format
 */
export const uint16 = integer<number>(16, false)
/**
 * 32 bits, from 0 to 2^32 - 1: a number (VMSTATE_UINT32).
 *
 * @group Describing a format
 */
export const uint32 = integer<number>(32, false)
/**
 * 64 bits, from 0 to 2^64 - 1: a bigint (VMSTATE_UINT64).
 *
 * @group Describing a format
 */
export const uint64 = integer<bigint>(64, false)
/**
 * 8 bits, from -2^7 to 2^7 - 1: a number (VMSTATE_INT8).
 *
 * @group Describing a format
 */
export const int8 = integer<number>(8, true)
/**
 * 16 bits, from -2^15 to 2^15 - 1: a number (VMSTATE_INT16).
 *
 * @group Describing a format
 */
export const int16 = integer<number>(16, true)
/**
 * 32 bits, from -2^31 to 2^31 - 1: a number (VMSTATE_INT32).
 *
 * @group Describing a format
 */
export const int32 = integer<number>(32, true)
/**
 * 64 bits, from -2^63 to 2^63 - 1: a bigint (VMSTATE_INT64).
 *
 * @group Describing a format
 */
export const int64 = integer<bigint>(64, true)

/**
 * One byte, 0 or 1 (VMSTATE_BOOL). QEMU reads any other value as true; here it is an error.
 *
 * @group Describing a format
 */
export const bool: BoolKind & Typed<boolean> = { kind: 'bool' }

/**
 * A value that must equal the destination's (VMSTATE_UINT32_EQUAL and similar), such as a host's frequency
 * or a processor's version. It is compared on load.
 *
 * @param of the kind of the field
 * @example
 * ```ts
 * fields: { frequency: equal(uint32) }
 * ```
 * @group Describing a format
 */
export function equal<K extends ScalarKind>(of: K): EqualKind & Typed<StateOf<K>, StateOf<K>> {
  return { kind: 'equal', of: checkKind(of, ['integer', 'bool']) }
}

/**
 * Elements one after another. `count` is their number (VMSTATE_UINT64_ARRAY and similar) or the name of an
 * earlier field that holds it (VMSTATE_VARRAY_UINT32 and similar).
 *
 * @param of the kind of each element
 * @param count how many there are, or the name of the field that holds the number
 * @throws TypeError for elements that may be empty if their number is in the bytes: four bytes could then
 *   ask for 2^32 elements
 * @example
 * ```ts
 * fields: { gpr: array(uint64, 32) }
 * ```
 * @group Describing a format
 */
export function array<K extends ElementKind>(
  of: K,
  count: Count,
): ArrayKind & Typed<readonly StateOf<K>[], EachOf<DestinationOf<K>>> {
  checkKind(of, ['integer', 'bool', 'buffer', 'array', 'struct'])
  const smallest = smallestSize(of)
  if (typeof checkCount('count', count) === 'string' && smallest === 0) {
    throw wrongValue('the elements of a counted array', 'at least a byte long', of.kind)
  }
  return { kind: 'array', of, count, smallest }
}

/**
 * Bytes. `length` is their number (VMSTATE_BUFFER) or the name of an earlier field that holds it
 * (VMSTATE_VBUFFER_UINT32).
 *
 * @param length how many bytes, or the name of the field that holds the number
 * @example
 * ```ts
 * fields: { mac: buffer(6) }
 * ```
 * @group Describing a format
 */
export function buffer(length: Count): BufferKind & Typed<Uint8Array> {
  return { kind: 'buffer', length: checkCount('length', length) }
}

/**
 * Bytes without a meaning: written as zeros, skipped on load (VMSTATE_UNUSED).
 *
 * @param length how many bytes to skip
 * @example
 * ```ts
 * fields: { padding: unused(4) }
 * ```
 * @group Describing a format
 */
export function unused(length: number): UnusedKind & Typed<never> {
  return { kind: 'unused', length: checkInteger('length', length) }
}

/**
 * The fields and subsections of another description, without a header (VMSTATE_STRUCT). The bytes do not
 * hold its version: it is the description's newest, or `versionId` (VMSTATE_VSTRUCT).
 *
 * @param description the fields of the structure
 * @param versionId the version of the structure; the default is the description's newest
 * @example
 * ```ts
 * fields: { timer: struct(timer) }
 * ```
 * @group Describing a format
 */
export function struct<State, Destination>(
  description: VmstateDescription<State, Destination>,
  versionId: number = description.versionId,
): StructKind & Typed<State, Destination> {
  return { kind: 'struct', description, versionId: checkStructVersion(description, versionId) }
}

/**
 * Like {@link struct}, for an object that may be absent (VMSTATE_STRUCT_POINTER). The bytes do not say
 * whether it is there: QEMU marks a null pointer only inside an array of pointers. So it depends on the
 * version or on a condition ({@link since}, {@link when}). If it is there, the destination must have the
 * object already, since QEMU does not create one.
 *
 * @param description the fields of the structure
 * @example
 * ```ts
 * fields: { timer: structPointer(timer) }
 * ```
 * @group Describing a format
 */
export function structPointer<State, Destination>(
  description: VmstateDescription<State, Destination>,
): StructPointerKind & Typed<State, ObjectOf<Destination>> {
  checkDescription(description)
  return { kind: 'structPointer', description, versionId: description.versionId }
}

/**
 * A field that its description has from this version on (the macros that end in `_V`).
 *
 * @param versionId the first version that has the field
 * @param of the kind of the field
 * @example
 * ```ts
 * fields: { spread: since(2, uint64) }
 * ```
 * @group Describing a format
 */
export function since<K extends FieldKind>(
  versionId: number,
  of: K,
): SinceKind & Typed<StateOf<K>, DestinationOf<K>> {
  return { kind: 'since', versionId: checkInteger('versionId', versionId), of }
}

/**
 * A field that is there if the condition holds (the macros that end in `_TEST`). The condition gets the
 * version and the fields before this one only, so that it gives the same answer on both hosts.
 *
 * @param condition whether the field is there, from the fields before it
 * @param of the kind of the field
 * @example
 * ```ts
 * fields: { extra: when(({ flags }) => flags !== 0, uint64) }
 * ```
 * @group Describing a format
 */
export function when<K extends FieldKind>(
  condition: Condition,
  of: K,
): WhenKind & Typed<StateOf<K>, DestinationOf<K>> {
  if (typeof condition !== 'function') throw wrongType('condition', 'a function', condition)
  return { kind: 'when', condition, of }
}

function checkCount(name: string, count: Count): Count {
  return typeof count === 'string' ? count : checkInteger(name, count)
}

function checkKind<K extends FieldKind>(of: K, allowed: readonly FieldKind['kind'][]): K {
  const { kind } = checkObject('the kind of a field', of) as FieldKind
  if (!allowed.includes(kind)) throw wrongValue('its kind', `one of ${allowed.join(', ')}`, kind)
  return of
}

function checkStructVersion(description: VmstateDescription, versionId: number): number {
  checkDescription(description)
  const { name, minimumVersionId, versionId: newest } = description
  if (checkInteger('versionId', versionId) >= minimumVersionId && versionId <= newest) {
    return versionId
  }
  throw wrongValue('versionId', `a version of ${shown(name)}`, versionId)
}

/** The least number of bytes that a field of this kind takes; 0 for a field that may be absent. */
function smallestSize(of: FieldKind): number {
  switch (of.kind) {
    case 'integer':
      return of.bits / 8
    case 'bool':
      return 1
    case 'equal':
      return smallestSize(of.of)
    case 'buffer':
    case 'unused':
      return typeof of.length === 'number' ? of.length : 0
    case 'array':
      return typeof of.count === 'number' ? of.count * of.smallest : 0
    case 'struct':
    case 'structPointer':
      return Object.values(of.description.fields)
        .map(smallestSize)
        .reduce((sum, size) => sum + size, 0)
    case 'since':
    case 'when':
      return 0
  }
}
