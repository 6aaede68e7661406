import type { Package } from './commands.ts'
import { Mark } from './elements.ts'
import { missing } from './errors.ts'
import { NAMED_PLACES } from './limits.ts'
import { readTimebase, SPAPR, TB_OFFSETS, TIMEBASE_BYTES } from './timebase.ts'
import type { QemuTimebase } from './types.ts'

/** The offset of the name's length in a section's header: behind the mark and the id. */
const NAME_AT = 5

const LETTERS: readonly number[] = [...Buffer.from(SPAPR)]
const [FIRST_LETTER] = LETTERS

/** The header of a section `spapr`: mark, id, name, instance, version. */
const HEADER_BYTES = NAME_AT + 1 + SPAPR.length + 8

/**
 * Searches for the timebase in device sections whose lengths are not known. A place fits if a full section
 * named `spapr` begins there, and its timebase is followed by something that may come next. Other devices
 * can contain such bytes as well, so the timebase is returned only if exactly one place fits.
 *
 * @param parts parts of the stream, each from its first device on
 * @param footers whether the sections have footers, if that is known
 */
export function searchTimebase(
  parts: readonly Package[],
  footers: boolean | undefined,
): QemuTimebase {
  const found: QemuTimebase[] = []
  for (const part of parts) searchPart(part, footers, found)
  const [timebase] = found
  if (timebase === undefined) {
    throw missing(
      `The stream has no description, and nothing in it looks like the section ${SPAPR} of a pseries guest`,
      parts[0]?.offset,
    )
  }
  if (found.length > 1) {
    const places = found.slice(0, NAMED_PLACES).map(({ offset }) => offset)
    const more = found.length > NAMED_PLACES ? ', and others' : ''
    throw missing(
      `The stream has no description, and its timebase can be at any of these bytes: ${places.join(', ')}${more}`,
      timebase.offset,
    )
  }
  return timebase
}

/**
 * Adds the places in one part to `found`, up to one more than an error names. The time of a loop over the
 * bytes does not depend on what they are; that of calls to indexOf would.
 */
function searchPart(
  { bytes, offset }: Package,
  footers: boolean | undefined,
  found: QemuTimebase[],
): void {
  for (let at = 0; at < bytes.length - HEADER_BYTES && found.length <= NAMED_PLACES; at++) {
    if (bytes[at] !== Mark.FULL || bytes[at + NAME_AT] !== SPAPR.length) continue
    if (bytes[at + NAME_AT + 1] !== FIRST_LETTER || !isHeader(bytes, at)) continue
    const start = TB_OFFSETS[bytes.readUInt32BE(at + HEADER_BYTES - 4)]
    if (start === undefined) continue
    const tb = at + HEADER_BYTES + start
    if (!mayFollow(bytes, tb + TIMEBASE_BYTES, bytes.readUInt32BE(at + 1), footers)) continue
    found.push({ ...readTimebase(bytes, tb), offset: offset + tb, searched: true })
  }
}

/** Whether the header of section `spapr`, instance 0, is at `at`: mark, id, name, instance, version. */
function isHeader(bytes: Buffer, at: number): boolean {
  for (let index = 0; index < LETTERS.length; index++) {
    if (bytes[at + NAME_AT + 1 + index] !== LETTERS[index]) return false
  }
  return bytes.readUInt32BE(at + HEADER_BYTES - 8) === 0
}

/** Whether the end of the section with this id, or a subsection of `spapr`, can be at `at`. */
function mayFollow(bytes: Buffer, at: number, id: number, footers: boolean | undefined): boolean {
  const mark = bytes[at]
  if (mark === Mark.FOOTER && footers !== false) {
    return bytes.length - at >= 5 && bytes.readUInt32BE(at + 1) === id
  }
  if (mark === Mark.SUBSECTION) {
    return LETTERS.every((code, index) => bytes[at + 2 + index] === code)
  }
  return footers !== true && (mark === Mark.FULL || mark === Mark.END)
}
