import type { Package } from './commands.ts'
import { Mark } from './elements.ts'
import { missing } from './errors.ts'
import { readTimebase, SPAPR, TB_OFFSETS, TIMEBASE_BYTES } from './timebase.ts'
import type { QemuTimebase } from './types.ts'

/** A section's mark and id come before its name. */
const BEFORE_NAME = 5

const VERSIONS = [2, 3]

/**
 * Looks for the timebase in device sections whose lengths nothing says: where a full section named
 * `spapr` begins whose timebase is followed by what may come after it. Other devices can hold such
 * bytes as well, so it is taken only if there is one such place.
 *
 * @param parts of the stream, from their first device on
 * @param footers whether the sections end with one, if that is known
 */
export function searchTimebase(
  parts: readonly Package[],
  footers: boolean | undefined,
): QemuTimebase {
  const found = parts.flatMap((part) =>
    VERSIONS.flatMap((version) => searchPart(part, version, footers)),
  )
  const [timebase] = found
  if (timebase === undefined) {
    throw missing(
      `The stream has no description, and nothing in it looks like the section ${SPAPR} of a pseries guest`,
      parts[0]?.offset,
    )
  }
  if (found.length > 1) {
    const places = found.map(({ offset }) => offset).join(', ')
    throw missing(
      `The stream has no description, and its timebase can be at any of these bytes: ${places}`,
      timebase.offset,
    )
  }
  return timebase
}

function searchPart(
  { bytes, offset }: Package,
  version: number,
  footers: boolean | undefined,
): QemuTimebase[] {
  const found: QemuTimebase[] = []
  const header = sectionHeader(version)
  let at = bytes.indexOf(header, BEFORE_NAME)
  for (; at !== -1; at = bytes.indexOf(header, at + 1)) {
    const tb = at + header.length + (TB_OFFSETS[version] ?? 0)
    const id = bytes.subarray(at - BEFORE_NAME + 1, at)
    const isSection =
      bytes[at - BEFORE_NAME] === Mark.FULL && mayFollow(bytes, tb + TIMEBASE_BYTES, id, footers)
    if (!isSection) continue
    found.push({ ...readTimebase(bytes, tb), offset: offset + tb, searched: true })
  }
  return found
}

/** The header of section `spapr`, instance 0, from its name on. */
function sectionHeader(version: number): Buffer {
  const numbers = Buffer.alloc(8)
  numbers.writeUInt32BE(version, 4)
  return Buffer.concat([Buffer.of(SPAPR.length), Buffer.from(SPAPR), numbers])
}

/** Whether a section's end is at `at`, or a subsection of `spapr`. */
function mayFollow(bytes: Buffer, at: number, id: Buffer, footers: boolean | undefined): boolean {
  const mark = bytes[at]
  if (mark === Mark.FOOTER && footers !== false) return bytes.subarray(at + 1, at + 5).equals(id)
  if (mark === Mark.SUBSECTION) {
    return bytes.subarray(at + 2, at + 2 + SPAPR.length).equals(Buffer.from(SPAPR))
  }
  return footers !== true && (mark === Mark.FULL || mark === Mark.END)
}
