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
 * What the fields of a description are written with. QEMU has macros for it (include/migration/vmstate.h);
 * beside each function stands the one that it is the like of. All integers are big-endian on the wire.
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
 * One byte, 0 or 1 (VMSTATE_BOOL). QEMU takes any other for true; here it is an error.
 *
 * @group Describing a format
 */
export const bool: BoolKind & Typed<boolean> = { kind: 'bool' }

/**
 * A value that must be the destination's own (VMSTATE_UINT32_EQUAL and its like): a host's frequency, a
 * processor's version. It is written as it is, and compared on load.
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
 * Elements one after another, as many as `count` says (VMSTATE_UINT64_ARRAY and its like) or as many
 * as the earlier field of that name does (VMSTATE_VARRAY_UINT32 and its like).
 *
 * @param of the kind of each element
 * @param count how many there are, or the field that says it
 * @throws TypeError for elements that may be empty and are counted on the wire: a count costs nothing
 *   to write, so four bytes could ask for 2^32 of them
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
 * Bytes, as many as `length` says (VMSTATE_BUFFER) or the earlier field of that name (VMSTATE_VBUFFER_UINT32).
 *
 * @param length how many bytes
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
 * Bytes that mean nothing: written as zeros, passed over on load (VMSTATE_UNUSED).
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
 * Another description's fields and subsections, in place and without a header (VMSTATE_STRUCT). The
 * wire does not have its version: it is the description's newest, or `versionId` (VMSTATE_VSTRUCT).
 *
 * @param description the fields of the structure
 * @param versionId the version of the structure, that of its description by default
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
 * The same for an object that may not be there (VMSTATE_STRUCT_POINTER). The wire has nothing that
 * says so, neither in 2013 nor today: QEMU marks a null pointer only inside an array of them. So
 * whether it is there is a matter of the version, or of a condition ({@link since}, {@link when}); where
 * it is, the destination must have the object already, since QEMU does not make one.
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
 * A field that is there from this version of its description on (the macros that end in `_V`).
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
 * A field that is there if the condition holds (the macros that end in `_TEST`). It is told the fields
 * before this one, no others, so that it says the same on both ends; and the version.
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

/** The fewest bytes that a field of this kind can have; one that may be absent has none. */
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
