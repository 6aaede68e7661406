import { ByteReader, parseWithin } from './bytes.ts'
import type { Parser } from './bytes.ts'
import { readCommand } from './commands.ts'
import type { Package, QemuCommand } from './commands.ts'
import type { DescribedDevice } from './description.ts'
import { readDirtyBitmaps } from './dirty-bitmaps.ts'
import { hex, malformed, overLimit, unknownVersion, unsupported } from './errors.ts'
import { checkSubsections } from './fields.ts'
import type { PlacedDevice } from './fields.ts'
import { HtabReader } from './htab.ts'
import { HELD_LIMIT, LISTED_LIMIT, PACKAGE_LIMIT } from './limits.ts'
import type { RamReader } from './ram.ts'
import type { QemuSection } from './types.ts'

/** The first bytes of the elements of a stream (QEMU, migration/savevm.h: QEMU_VM_). */
export const Mark = {
  END: 0x00,
  START: 0x01,
  PART: 0x02,
  SECTION_END: 0x03,
  FULL: 0x04,
  SUBSECTION: 0x05,
  DESCRIPTION: 0x06,
  CONFIGURATION: 0x07,
  COMMAND: 0x08,
  FOOTER: 0x7e,
} as const

const misplaced: Readonly<Record<number, string>> = {
  [Mark.SUBSECTION]: 'A subsection',
  [Mark.DESCRIPTION]: 'The description',
  [Mark.CONFIGURATION]: 'A configuration',
  [Mark.FOOTER]: 'A footer',
}

/** The readers of a section that QEMU sends in pieces. */
interface Iterative {
  readonly version: number
  /** Reads the first piece. */
  readonly start: (elements: Elements, reader: ByteReader) => Parser<void>
  /** Reads any other piece. */
  readonly more: (elements: Elements, reader: ByteReader) => Parser<void>
}

const iterative = new Map<string, Iterative>([
  [
    'ram',
    {
      version: 4,
      start: ({ ram }, reader) => ram.start(reader),
      more: ({ ram }, reader) => ram.records(reader),
    },
  ],
  [
    'spapr/htab',
    {
      version: 1,
      start: ({ htab }, reader) => htab.start(reader),
      more: ({ htab }, reader) => htab.chunks(reader),
    },
  ],
  [
    'dirty-bitmap',
    {
      version: 1,
      start: (_, reader) => readDirtyBitmaps(reader),
      more: (_, reader) => readDirtyBitmaps(reader),
    },
  ],
])

/** A section in pieces whose first piece was read. */
interface Started {
  readonly name: string
  readonly instance: number
  readonly version: number
  readonly kind: Iterative
  readonly hasEnded: boolean
}

/** Where {@link Elements.read} stopped: behind the end mark, or in front of a device without a description. */
export type StoppedAt = 'end' | 'device'

/** Reads the sections and commands of a stream, and collects them. */
export class Elements {
  sections: QemuSection[] = []
  commands: QemuCommand[] = []
  devices: PlacedDevice[] = []
  /** The bytes of packages from their first device on, whose lengths are not known. */
  packages: Package[] = []
  /** How many bytes of memory the packages take, including those before their first device. */
  packageBytes = 0
  ram: RamReader
  htab = new HtabReader()
  partSections = 0
  /** Whether the sections have footers; known after the first section. */
  footers: boolean | undefined

  /** How many part and end sections were read, of which `sections` lists only the first. */
  #pieces = 0
  #started = new Map<number, Started>()
  #deviceIds = new Set<number>()
  #isInPackage = false

  constructor(ram: RamReader) {
    this.ram = ram
  }

  /** A copy, to which elements can be added without changing these. */
  fork(): Elements {
    const fork = new Elements(this.ram.fork())
    fork.sections = this.sections.slice()
    fork.commands = this.commands.slice()
    fork.devices = this.devices.slice()
    fork.packages = this.packages.slice()
    fork.packageBytes = this.packageBytes
    fork.htab = this.htab.fork()
    fork.partSections = this.partSections
    fork.footers = this.footers
    fork.#pieces = this.#pieces
    fork.#started = new Map(this.#started)
    fork.#deviceIds = new Set(this.#deviceIds)
    return fork
  }

  /**
   * Reads up to the end mark.
   *
   * @param described the descriptions of the devices, in order; without it reading stops at the first device
   */
  *read(reader: ByteReader, described?: Iterator<DescribedDevice, undefined>): Parser<StoppedAt> {
    for (;;) {
      if (reader.isTurnOver()) yield 'pause'
      // QEMU needs no end mark in a package: the command RUN ends it.
      if (this.#isInPackage && (yield* reader.isAtEnd())) return 'end'
      yield* reader.need(1, 'what comes between two sections')
      const offset = reader.offset
      const mark = reader.peek()
      if (mark === Mark.FULL && described === undefined) return 'device'
      reader.pass(1)
      switch (mark) {
        case Mark.END:
          return 'end'
        case Mark.START:
          yield* this.#start(reader, offset)
          break
        case Mark.PART:
        case Mark.SECTION_END:
          yield* this.#continue(reader, offset, mark)
          break
        case Mark.FULL:
          yield* this.#device(reader, offset, described?.next().value)
          break
        case Mark.COMMAND:
          yield* this.#command(reader, offset)
          break
        default:
          throw malformed(
            `${misplaced[mark] ?? `A section of type ${hex(mark)}`} has no place here`,
            offset,
          )
      }
    }
  }

  *#start(reader: ByteReader, offset: number): Parser<void> {
    const { id, name, instance, version } = yield* this.#header(reader, offset)
    const kind = iterative.get(name)
    if (kind === undefined) {
      const known = [...iterative.keys()].join(', ')
      throw unsupported(
        `The stream does not say how long the section ${name} is; of sections in pieces this release knows ${known}`,
        offset,
      )
    }
    for (const other of this.#started.values()) {
      if (other.name === name) throw malformed(`The section ${name} is started twice`, offset)
    }
    if (instance !== 0) throw malformed(`The section ${name} has instance ${instance}`, offset)
    if (version !== kind.version) {
      throw unknownVersion(
        `The section ${name} has version ${version}; this release reads version ${kind.version}`,
        offset,
      )
    }
    yield* kind.start(this, reader)
    yield* this.#footer(reader, id, name)
    this.#started.set(id, { name, instance, version, kind, hasEnded: false })
    const length = reader.offset - offset
    this.sections.push({ type: 'start', id, name, instance, version, offset, length })
  }

  /**
   * Reads a part or end section. From 10.1 on QEMU ends every section a second time when it completes a
   * postcopy migration; no part may follow an end.
   */
  *#continue(reader: ByteReader, offset: number, mark: number): Parser<void> {
    yield* reader.need(4, 'the id of a section')
    const id = reader.u32()
    const isPart = mark === Mark.PART
    const started = this.#started.get(id)
    if (started === undefined) throw malformed(`The section ${id} was not started`, offset)
    const { name, instance, version, kind, hasEnded } = started
    if (hasEnded && isPart) throw malformed(`The section ${name} has ended before`, offset)
    yield* kind.more(this, reader)
    yield* this.#footer(reader, id, name)
    if (isPart) this.partSections++
    else this.#started.set(id, { ...started, hasEnded: true })
    if (++this.#pieces > LISTED_LIMIT) return
    const type = isPart ? 'part' : 'end'
    const length = reader.offset - offset
    this.sections.push({ type, id, name, instance, version, offset, length })
  }

  *#device(
    reader: ByteReader,
    offset: number,
    described: DescribedDevice | undefined,
  ): Parser<void> {
    const { id, name, instance, version } = yield* this.#header(reader, offset)
    this.#deviceIds.add(id)
    if (described === undefined) {
      throw malformed(`The description lacks ${inWords(name, instance)}, which is here`, offset)
    }
    const isSame =
      described.section === name &&
      described.instance === instance &&
      (described.version ?? version) === version
    if (!isSame) {
      const there = inWords(described.section, described.instance, described.version)
      throw malformed(
        `The description has ${there} where the stream has ${inWords(name, instance, version)}`,
        offset,
      )
    }
    const at = reader.offset
    yield* reader.need(described.size, `the device ${name}`)
    const bytes = reader.bytes(described.size)
    checkSubsections(described, bytes, at)
    this.devices.push({ described, version, bytes, offset: at })
    yield* this.#footer(reader, id, `${name} (${described.size} bytes by the description)`)
    const length = reader.offset - offset
    this.sections.push({ type: 'full', id, name, instance, version, offset, length })
  }

  *#command(reader: ByteReader, offset: number): Parser<void> {
    const room = HELD_LIMIT - this.packageBytes
    const { command, contents, advisesRam } = yield* readCommand(reader, offset, room)
    if (this.commands.length < LISTED_LIMIT) this.commands.push(command)
    if (advisesRam) this.ram.expectPageSizes()
    if (contents !== undefined) yield* this.#openPackage(contents)
  }

  /** Reads the elements in a package. They are like those outside, but no description follows them. */
  *#openPackage({ offset, bytes }: Package): Parser<void> {
    if (this.#isInPackage) {
      throw unsupported('A package in a package, which QEMU does not write', offset)
    }
    this.#isInPackage = true
    const reader = new ByteReader(offset, 'The package ends')
    const stoppedAt = yield* parseWithin(this.read(reader), bytes)
    this.#isInPackage = false
    // QEMU ignores what follows an end mark in a package.
    if (stoppedAt === 'end') return
    if (this.packages.length === PACKAGE_LIMIT) {
      throw overLimit(`More than ${PACKAGE_LIMIT} packages with devices in them`, offset)
    }
    this.packageBytes += bytes.length
    this.packages.push({ offset: reader.offset, bytes: bytes.subarray(reader.offset - offset) })
  }

  *#header(reader: ByteReader, offset: number) {
    yield* reader.need(4, 'the id of a section')
    const id = reader.u32()
    const name = yield* reader.name('the name of a section')
    yield* reader.need(8, `the section ${name}`)
    if (this.#started.has(id) || this.#deviceIds.has(id)) {
      throw malformed(`The section ${name} has the id ${id}, which another has`, offset)
    }
    return { id, name, instance: reader.u32(), version: reader.u32() }
  }

  *#footer(reader: ByteReader, id: number, section: string): Parser<void> {
    if (this.footers === undefined) {
      yield* reader.need(1, 'what follows the first section')
      this.footers = reader.peek() === Mark.FOOTER
    }
    if (!this.footers) return
    yield* reader.need(5, `the footer of the section ${section}`)
    const at = reader.offset
    const mark = reader.u8()
    const found = reader.u32()
    if (mark !== Mark.FOOTER) {
      throw malformed(`The section ${section} does not end with a footer but with ${hex(mark)}`, at)
    }
    if (found !== id) {
      throw malformed(`The footer of the section ${section} has the id ${found}, not ${id}`, at)
    }
  }
}

function inWords(name: string, instance: number, version?: number): string {
  const of = version === undefined ? '' : `, version ${version}`
  return `the device ${name} (instance ${instance}${of})`
}
