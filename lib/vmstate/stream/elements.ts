import { ByteReader, parseAll } from './bytes.ts'
import type { Parser } from './bytes.ts'
import { readCommand } from './commands.ts'
import type { Package, QemuCommand } from './commands.ts'
import type { DescribedDevice } from './description.ts'
import { hex, malformed, unknownVersion, unsupported } from './errors.ts'
import { DeviceDecoder } from './fields.ts'
import { HtabReader } from './htab.ts'
import { LISTED_LIMIT } from './limits.ts'
import { RamReader } from './ram.ts'
import type { QemuDevice, QemuSection } from './types.ts'

/** The first byte of what a stream is made of (QEMU, migration/savevm.h: QEMU_VM_). */
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

const RAM = { name: 'ram', version: 4 }
const HTAB = { name: 'spapr/htab', version: 1 }

/** A section that is sent in pieces, and what is known of it. */
interface Started {
  readonly name: string
  readonly instance: number
  readonly version: number
  readonly read: (reader: ByteReader) => Parser<void>
  isEnded: boolean
}

/** Where {@link Elements.read} stopped: behind the end mark, or at the first device that it has no description of. */
export type StoppedAt = 'end' | 'device'

/** The sections and commands of a stream, and what is remembered from one to the next. */
export class Elements {
  readonly sections: QemuSection[] = []
  readonly commands: QemuCommand[] = []
  readonly devices: QemuDevice[] = []
  /** Bytes of packages from their first device on: nothing says how long that is. */
  readonly packages: Package[] = []
  readonly ram: RamReader
  readonly htab = new HtabReader()
  partSections = 0
  /** Whether there are footers: known after the first section. */
  footers: boolean | undefined

  readonly #started = new Map<number, Started>()
  readonly #deviceIds = new Set<number>()
  #isInPackage = false
  readonly #decoder = new DeviceDecoder()

  constructor(capabilities: readonly string[]) {
    this.ram = new RamReader(capabilities)
  }

  /**
   * Reads up to the end mark.
   *
   * @param described the devices that come, in order; without it reading stops before the first device
   */
  *read(reader: ByteReader, described?: Iterator<DescribedDevice, undefined>): Parser<StoppedAt> {
    for (;;) {
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
    const isRam = name === RAM.name
    if (!isRam && name !== HTAB.name) {
      throw unsupported(
        `Nothing says how long the section ${name} is; this release knows ${RAM.name} and ${HTAB.name}`,
        offset,
      )
    }
    for (const other of this.#started.values()) {
      if (other.name === name) throw malformed(`The section ${name} is started twice`, offset)
    }
    if (instance !== 0) throw malformed(`The section ${name} has instance ${instance}`, offset)
    const known = isRam ? RAM.version : HTAB.version
    if (version !== known) {
      throw unknownVersion(
        `The section ${name} has version ${version}; this release reads version ${known}`,
        offset,
      )
    }
    yield* isRam ? this.ram.start(reader) : this.htab.start(reader)
    yield* this.#footer(reader, id, name)
    const read = isRam
      ? (from: ByteReader) => this.ram.records(from)
      : (from: ByteReader) => this.htab.chunks(from)
    this.#started.set(id, { name, instance, version, read, isEnded: false })
    const length = reader.offset - offset
    this.sections.push({ type: 'start', id, name, instance, version, offset, length })
  }

  *#continue(reader: ByteReader, offset: number, mark: number): Parser<void> {
    yield* reader.need(4, 'the id of a section')
    const id = reader.u32()
    const started = this.#started.get(id)
    if (started === undefined) throw malformed(`The section ${id} was not started`, offset)
    if (started.isEnded) throw malformed(`The section ${started.name} has ended before`, offset)
    yield* started.read(reader)
    yield* this.#footer(reader, id, started.name)
    const isPart = mark === Mark.PART
    if (isPart && ++this.partSections > LISTED_LIMIT) return
    started.isEnded = !isPart
    const { name, instance, version } = started
    const length = reader.offset - offset
    this.sections.push({
      type: isPart ? 'part' : 'end',
      id,
      name,
      instance,
      version,
      offset,
      length,
    })
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
    const start = reader.offset
    yield* reader.need(described.size, `the device ${name}`)
    const bytes = reader.bytes(described.size)
    this.devices.push(this.#decoder.decode(described, version, bytes, start))
    yield* this.#footer(reader, id, `${name} (${described.size} bytes by the description)`)
    const length = reader.offset - offset
    this.sections.push({ type: 'full', id, name, instance, version, offset, length })
  }

  *#command(reader: ByteReader, offset: number): Parser<void> {
    const { command, contents } = yield* readCommand(reader, offset)
    if (this.commands.length < LISTED_LIMIT) this.commands.push(command)
    if (contents !== undefined) this.#openPackage(contents)
  }

  /** A package has elements like those outside, but no end mark and no description. */
  #openPackage({ offset, bytes }: Package): void {
    if (this.#isInPackage) throw malformed('A package in a package', offset)
    this.#isInPackage = true
    const reader = new ByteReader(offset, 'The package ends')
    const stoppedAt = parseAll(this.read(reader), bytes)
    this.#isInPackage = false
    if (stoppedAt === 'end') throw malformed('An end mark in a package', reader.offset - 1)
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
