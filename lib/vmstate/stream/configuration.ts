import type { ByteReader, Parser } from './bytes.ts'
import { malformed, overLimit, unknownVersion, unsupported } from './errors.ts'
import { CAPABILITY_LIMIT, MACHINE_NAME_LIMIT } from './limits.ts'

const SUBSECTION = 0x05
const TARGET_PAGE_BITS = 12
const UUID_BYTES = 16

/** The capabilities that change the format of a RAM section. QEMU writes no others into a stream. */
const KNOWN_CAPABILITIES = ['x-ignore-shared', 'mapped-ram']

/** The part between the header and the first section (QEMU, migration/savevm.c: vmstate_configuration). */
export interface Configuration {
  readonly machine: string
  readonly capabilities: readonly string[]
  readonly uuid?: string
}

/** Reads a configuration whose mark was read already. */
export function* readConfiguration(reader: ByteReader): Parser<Configuration> {
  yield* reader.need(4, 'the configuration')
  const at = reader.offset
  const length = reader.u32()
  if (length > MACHINE_NAME_LIMIT) {
    throw overLimit(
      `The name of the machine is ${length} bytes long, more than ${MACHINE_NAME_LIMIT}`,
      at,
    )
  }
  const machine = yield* reader.text(length, 'the name of the machine')
  let capabilities: readonly string[] = []
  let uuid: string | undefined
  const seen = new Set<string>()
  for (;;) {
    yield* reader.need(1, 'the first section')
    if (reader.peek() !== SUBSECTION) {
      return { machine, capabilities, ...(uuid === undefined ? {} : { uuid }) }
    }
    const offset = reader.offset
    reader.pass(1)
    const name = yield* reader.name('the name of a subsection of the configuration')
    yield* reader.need(4, `the subsection ${name}`)
    const version = reader.u32()
    if (seen.has(name)) throw malformed(`The subsection ${name} is there twice`, offset)
    seen.add(name)
    if (version !== 1) {
      throw unknownVersion(
        `The subsection ${name} has version ${version}; this release reads version 1`,
        offset,
      )
    }
    switch (name) {
      case 'configuration/target-page-bits':
        yield* readPageBits(reader)
        break
      case 'configuration/capabilities':
        capabilities = yield* readCapabilities(reader)
        break
      case 'configuration/uuid':
        uuid = yield* readUuid(reader)
        break
      default:
        throw unsupported(`The configuration has an unknown subsection ${name}`, offset)
    }
  }
}

function* readPageBits(reader: ByteReader): Parser<void> {
  yield* reader.need(4, 'the size of a page')
  const at = reader.offset
  const bits = reader.u32()
  if (bits !== TARGET_PAGE_BITS) {
    throw unsupported(`Pages have 2^${bits} bytes; those of a pseries guest have 2^12`, at)
  }
}

function* readCapabilities(reader: ByteReader): Parser<string[]> {
  yield* reader.need(4, 'the capabilities')
  const at = reader.offset
  const count = reader.u32()
  if (count > CAPABILITY_LIMIT) {
    throw overLimit(`The stream has ${count} capabilities, more than ${CAPABILITY_LIMIT}`, at)
  }
  const capabilities: string[] = []
  while (capabilities.length < count) {
    const offset = reader.offset
    const name = yield* reader.name('the name of a capability')
    if (!KNOWN_CAPABILITIES.includes(name)) {
      throw unsupported(`The stream needs an unknown capability ${name}`, offset)
    }
    if (capabilities.includes(name)) {
      throw malformed(`The capability ${name} is there twice`, offset)
    }
    capabilities.push(name)
  }
  return capabilities
}

function* readUuid(reader: ByteReader): Parser<string> {
  yield* reader.need(UUID_BYTES, "the guest's UUID")
  const digits = reader.bytes(UUID_BYTES).toString('hex')
  return digits.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
}
