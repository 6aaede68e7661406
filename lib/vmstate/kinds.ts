import type { VmstateReader } from './reader.ts'
import type { ScalarKind } from './scalars.ts'
import type { Typed } from './types.ts'

/** The kinds of fields, by which encode and decode work. The functions of fields.ts make them. */

export interface EqualKind {
  readonly kind: 'equal'
  readonly of: ScalarKind
}

/**
 * A number of elements or bytes, or the name of the earlier field that holds the number.
 *
 * @group Describing a format
 */
export type Count = number | string

export interface BufferKind {
  readonly kind: 'buffer'
  readonly length: Count
}

export interface ArrayKind {
  readonly kind: 'array'
  readonly of: ElementKind
  readonly count: Count
  /** The least number of bytes that an element takes. */
  readonly smallest: number
}

export interface UnusedKind {
  readonly kind: 'unused'
  readonly length: number
}

export interface StructKind {
  readonly kind: 'struct'
  readonly description: VmstateDescription
  readonly versionId: number
}

export interface StructPointerKind {
  readonly kind: 'structPointer'
  readonly description: VmstateDescription
  readonly versionId: number
}

export interface SinceKind {
  readonly kind: 'since'
  readonly versionId: number
  readonly of: FieldKind
}

/**
 * Decides from the fields before it whether a field is there.
 *
 * @group Describing a format
 */
export type Condition = (earlier: Readonly<Record<string, unknown>>, versionId: number) => boolean

export interface WhenKind {
  readonly kind: 'when'
  readonly condition: Condition
  readonly of: FieldKind
}

/**
 * The kinds of fields that can be elements of an array.
 *
 * @group Describing a format
 */
export type ElementKind = ScalarKind | BufferKind | ArrayKind | StructKind

/**
 * Any kind of field.
 *
 * @group Describing a format
 */
export type FieldKind =
  ElementKind | EqualKind | UnusedKind | StructPointerKind | SinceKind | WhenKind

/**
 * A description's fields by name, in the order of the bytes.
 *
 * @group Describing a format
 */
export type Fields = Readonly<Record<string, FieldKind>>

/**
 * A description's subsections, by the property of the description's state that holds their state.
 *
 * @group Describing a format
 */
export type Subsections = Readonly<Record<string, VmstateDescription>>

/**
 * A description that {@link vmstate} has checked.
 *
 * @group Describing a format
 */
export interface VmstateDescription<State = unknown, Destination = unknown> extends Typed<
  State,
  Destination
> {
  readonly name: string
  readonly versionId: number
  readonly minimumVersionId: number
  readonly fields: Fields
  readonly subsections: Subsections
  readonly minimumVersionIdOld: number
  /**
   * {@inheritDoc VmstateSource.loadStateOld}
   *
   * @param reader the bytes from the start of the section on
   * @param versionId the version of the section
   */
  loadStateOld?(reader: VmstateReader, versionId: number): State
  /**
   * {@inheritDoc VmstateSource.preSave}
   *
   * @param state the values that will be encoded
   * @param versionId the version that will be written
   */
  preSave?(state: State, versionId: number): State
  /**
   * {@inheritDoc VmstateSource.postLoad}
   *
   * @param state the decoded values
   * @param versionId the version that was read
   */
  postLoad?(state: State, versionId: number): State
  /**
   * {@inheritDoc VmstateSource.needed}
   *
   * @param whole the values of the structure that the subsection belongs to
   */
  needed?(whole: Readonly<Record<string, unknown>>): boolean
}
