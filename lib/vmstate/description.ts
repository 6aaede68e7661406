import { checkInteger, checkObject, checkOptionNames, wrongType, wrongValue } from '../checks.ts'
import type { Count, FieldKind, Fields, Subsections, VmstateDescription } from './kinds.ts'
import type { VmstateReader } from './reader.ts'
import type { DestinationOfFields, StateOfFields } from './types.ts'

/** Versions are an int in QEMU. */
const MAX_VERSION = 0x7fff_ffff

/** The name of a subsection has one byte for its length. */
const MAX_NAME_LENGTH = 255

const hooks = ['loadStateOld', 'preSave', 'postLoad', 'needed'] as const

const optionNames = [
  ...['name', 'versionId', 'minimumVersionId', 'minimumVersionIdOld', 'fields', 'subsections'],
  ...hooks,
]

/** The descriptions that {@link vmstate} has checked. */
const checked = new WeakSet()

/** @throws TypeError for an object that {@link vmstate} did not make */
export function checkDescription(description: unknown): void {
  if (!checked.has(checkObject('description', description))) {
    throw wrongType('description', 'made by vmstate()', description)
  }
}

/**
 * The argument of {@link vmstate}. The names are those of QEMU's VMStateDescription.
 *
 * @group Describing a format
 */
export interface VmstateSource<F, S, State> {
  /** The name that a stream has in front of the section or subsection. */
  readonly name: string
  /** The newest version, which `encode` writes by default. */
  readonly versionId: number
  /** The oldest version that these fields can read and write. */
  readonly minimumVersionId: number
  /** The fields in the order of the bytes. Their names are for the state and for errors; the bytes have none. */
  readonly fields: F
  /**
   * Optional parts that follow the fields, each with a name and a version of its own. Each name must begin
   * with the name of this description: by that QEMU recognises its subsections.
   */
  readonly subsections?: S
  /** The oldest version that `loadStateOld` reads. It is called for versions below `minimumVersionId`. */
  readonly minimumVersionIdOld?: number
  /** Reads the fields of an older version. Those fields end where the function stops reading. */
  readonly loadStateOld?: (reader: VmstateReader, versionId: number) => State
  /** Called before encoding: takes the caller's state and returns the state to write. */
  readonly preSave?: (state: State, versionId: number) => State
  /** Called after decoding: takes the decoded state with its subsections and returns the result, or throws. */
  readonly postLoad?: (state: State, versionId: number) => State
  /**
   * For a subsection: decides from the whole state of the description around it whether it is written.
   * Without this function a subsection is written if the state has it.
   */
  readonly needed?: (whole: Readonly<Record<string, unknown>>) => boolean
}

/**
 * Makes a description of a device's state in QEMU's VMState format, for {@link encode} and {@link decode}:
 *
 *     const timer = vmstate({
 *       name: 'timer',
 *       versionId: 2,
 *       minimumVersionId: 1,
 *       fields: { cpu_ticks_offset: int64, unused: unused(8), cpu_clock_offset: since(2, int64) },
 *     })
 *
 * @param source the name, the versions and the fields
 * @throws TypeError, RangeError for a description that cannot work: a name that does not fit into JavaScript
 *   or the format, versions out of order, a count that does not name an earlier integer
 * @example
 * ```ts
 * const clock = vmstate({ name: 'clock', versionId: 1, fields: { ticks: uint64 } })
 * ```
 * @group Describing a format
 */
export function vmstate<const F extends Fields, const S extends Subsections>(
  source: VmstateSource<F, S, NoInfer<StateOfFields<F, S>>>,
): VmstateDescription<StateOfFields<F, S>, DestinationOfFields<F, S>> {
  checkObject('the description', source)
  checkOptionNames('the description', source, optionNames)
  const { name, versionId, minimumVersionId } = source
  checkName(name)
  checkInteger('versionId', versionId, MAX_VERSION)
  checkInteger('minimumVersionId', minimumVersionId, versionId)
  const description = { subsections: {}, minimumVersionIdOld: minimumVersionId, ...source }
  checkInteger('minimumVersionIdOld', description.minimumVersionIdOld, minimumVersionId)
  checkHooks(description)
  checkFields(description.fields)
  checkSubsections(description)
  checked.add(description)
  return description
}

function checkHooks(description: VmstateDescription): void {
  for (const hook of hooks) {
    const given: unknown = Reflect.get(description, hook)
    if (given !== undefined && typeof given !== 'function')
      throw wrongType(hook, 'a function', given)
  }
  const { minimumVersionId, minimumVersionIdOld } = description
  if (minimumVersionIdOld < minimumVersionId && !Object.hasOwn(description, 'loadStateOld')) {
    throw wrongType('loadStateOld', 'a function, for minimumVersionIdOld', undefined)
  }
}

function checkName(name: unknown): void {
  if (typeof name !== 'string') throw wrongType('name', 'a string', name)
  if (!/^[\x21-\x7e]+$/.test(name) || name.length > MAX_NAME_LENGTH) {
    throw wrongValue('name', `1 to ${MAX_NAME_LENGTH} characters of ASCII, no spaces`, name)
  }
}

/** Also refuses numbers, since JavaScript moves those to the front of an object, and `__proto__`. */
function checkFieldName(name: string): void {
  if (!/^[A-Za-z_]\w*$/.test(name) || name === '__proto__') {
    throw wrongValue("a field's name", 'of letters, digits and _, and no number first', name)
  }
}

function checkFields(fields: Fields): void {
  checkObject('fields', fields)
  const integers = new Set<string>()
  for (const [name, field] of Object.entries(fields)) {
    checkFieldName(name)
    if (!isKind(field)) throw wrongType(`fields.${name}`, 'a kind of field, as uint32', field)
    for (const count of countsOf(field)) {
      if (typeof count === 'string' && !integers.has(count)) {
        throw wrongValue(`the count of ${name}`, 'an earlier integer of at most 32 bits', count)
      }
    }
    if (isCount(field)) integers.add(name)
  }
}

function isKind(field: unknown): boolean {
  return typeof field === 'object' && field !== null && 'kind' in field
}

function isCount(field: FieldKind): boolean {
  if (field.kind === 'since' || field.kind === 'when') return isCount(field.of)
  return field.kind === 'integer' && field.bits < 64
}

function countsOf(field: FieldKind): Count[] {
  switch (field.kind) {
    case 'array':
      return [field.count, ...countsOf(field.of)]
    case 'buffer':
      return [field.length]
    case 'since':
    case 'when':
      return countsOf(field.of)
    default:
      return []
  }
}

function checkSubsections({ name, fields, subsections }: VmstateDescription): void {
  checkObject('subsections', subsections)
  const names = new Set<string>()
  for (const [key, subsection] of Object.entries(subsections)) {
    checkFieldName(key)
    checkDescription(subsection)
    if (Object.hasOwn(fields, key)) {
      throw wrongValue('the name of a subsection', 'different from the names of the fields', key)
    }
    const its = subsection.name
    if (!its.startsWith(name) || its === name || names.has(its)) {
      throw wrongValue("a subsection's name", `new, and begin with '${name}'`, its)
    }
    names.add(its)
  }
}
