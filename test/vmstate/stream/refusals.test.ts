import { describe, expect, it, vi } from 'vitest'
import { VmstateError } from '../../../lib/errors.ts'
import {
  CAPABILITY_LIMIT,
  DESCRIPTION_DEPTH_LIMIT,
  DESCRIPTION_KEY_LIMIT,
  DESCRIPTION_LIMIT,
  DESCRIPTION_NODE_LIMIT,
  HELD_LIMIT,
  MACHINE_NAME_LIMIT,
  RAM_BLOCK_LIMIT,
  VALUE_LIMIT,
} from '../../../lib/vmstate/stream/limits.ts'
import {
  BLOCK,
  capabilities,
  command,
  configuration,
  describedSpapr,
  describedTimer,
  description,
  end,
  endMark,
  EOS,
  footer,
  front,
  full,
  header,
  HTAB_ID,
  htabStart,
  integer,
  join,
  part,
  RAM_ID,
  ramEnd,
  ramStart,
  record,
  spapr,
  spaprFwnmi,
  start,
  streamWith,
  subsection,
  tb,
  text,
  timer,
  u32,
  u64,
} from './build.ts'
import { read } from './read.ts'

// Some streams reach the largest numbers that are taken, which takes a busy machine its time.
vi.setConfig({ testTimeout: 60_000 })

/** What a stream is refused with, word by word, as {@link says} gives it. */
function refusal(stream: Buffer): { code: string; message: string; offset: number | undefined } {
  try {
    read(stream)
  } catch (error) {
    if (!(error instanceof VmstateError)) throw error
    const { code, message, offset } = error
    return { code, message, offset }
  }
  throw new Error('The stream is not refused')
}

function says(code: string, problem: string, offset: number): ReturnType<typeof refusal> {
  const message = `${problem} (at byte ${offset}, 0x${offset.toString(16)})`
  return { code: `ERR_VMSTATE_${code}`, message, offset }
}

const before = join(header, configuration('pseries-7.2'))
const tail = join(timer, spapr, endMark, description([describedTimer, describedSpapr]))

describe('a stream is refused', () => {
  const devices = join(front, timer, spapr)
  const described = description([describedTimer, describedSpapr])

  it.each([
    ['if it is empty', Buffer.alloc(0), 'TRUNCATED', 'The stream is empty', 0],
    [
      'if it is none',
      join(Buffer.from('QEVN'), tail),
      'FORMAT',
      'This is not a migration stream of QEMU: it does not begin with "QEVM"',
      0,
    ],
    [
      'if it is of another version',
      join(Buffer.from('QEVM'), u32(2), tail),
      'VERSION',
      'The stream has version 2; this release reads version 3',
      4,
    ],
    [
      'if it ends right behind a device',
      devices,
      'TRUNCATED',
      'The stream ends neither with an end mark nor with a description: it was cut off or damaged',
      devices.length,
    ],
    [
      'if it has no description',
      join(devices, endMark),
      'MISSING',
      'The stream has no description at its end: it was cut off, or made without one, in which case the option search looks for its timebase',
      devices.length + 1,
    ],
    [
      'if it has neither devices nor a description',
      join(front, endMark),
      'MISSING',
      'There are no devices in the stream',
      front.length + 1,
    ],
    [
      'if it goes on behind its end mark, and had no devices',
      join(front, endMark, [1, 2, 3]),
      'FORMAT',
      '3 bytes follow the end mark, and no device comes before it',
      front.length + 1,
    ],
    [
      'if its end mark is not right before its description',
      join(devices, endMark, endMark, described),
      'FORMAT',
      `The end mark is here, and the description begins only at byte ${devices.length + 2}`,
      devices.length,
    ],
    [
      'if a name in it is not text',
      join(before, [1], u32(RAM_ID), text('r\x01m')),
      'FORMAT',
      "'r\\x01m' is not printable ASCII, as the name of a section must be",
      before.length + 6,
    ],
    [
      'if a name in it is empty',
      join(before, [1], u32(RAM_ID), [0]),
      'FORMAT',
      'No text where the name of a section must be',
      before.length + 6,
    ],
  ])('%s', (_, stream, code, problem, offset) => {
    expect(refusal(stream)).toEqual(says(code, problem, offset))
  })
})

describe('a configuration is refused', () => {
  const CAPABILITIES = 'configuration/capabilities'
  const PAGE_BITS = 'configuration/target-page-bits'
  const pageBits = subsection(PAGE_BITS, 1, u32(12))

  /** `bad` bytes are the last. */
  it.each([
    [
      'with a capability twice',
      capabilities('mapped-ram', 'mapped-ram'),
      'FORMAT',
      'The capability mapped-ram is there twice',
      text('mapped-ram').length,
    ],
    [
      'with a capability that is not known',
      capabilities('mapped-ram', 'x-colo'),
      'UNSUPPORTED',
      'The stream needs an unknown capability x-colo',
      text('x-colo').length,
    ],
    [
      'with too many capabilities',
      subsection(CAPABILITIES, 1, u32(CAPABILITY_LIMIT + 1)),
      'LIMIT',
      'The stream has 65 capabilities, more than 64',
      4,
    ],
    [
      'with pages of another size',
      subsection(PAGE_BITS, 1, u32(16)),
      'UNSUPPORTED',
      'Pages have 2^16 bytes; those of a pseries guest have 2^12',
      4,
    ],
    [
      'with a subsection twice',
      join(pageBits, pageBits),
      'FORMAT',
      `The subsection ${PAGE_BITS} is there twice`,
      pageBits.length,
    ],
    [
      'with a subsection of another version',
      subsection(PAGE_BITS, 2, u32(12)),
      'VERSION',
      `The subsection ${PAGE_BITS} has version 2; this release reads version 1`,
      pageBits.length,
    ],
    [
      'with a subsection that is not known',
      subsection('configuration/new', 1),
      'UNSUPPORTED',
      'The configuration has an unknown subsection configuration/new',
      subsection('configuration/new', 1).length,
    ],
  ])('%s', (_, subsections, code, problem, bad) => {
    const opening = join(before, subsections)
    expect(refusal(join(opening, ramStart, ramEnd, tail))).toEqual(
      says(code, problem, opening.length - bad),
    )
  })

  it('with a name of the machine that is too long', () => {
    const named = (length: number) => join(header, configuration('p'.repeat(length)), tail)
    expect(read(named(MACHINE_NAME_LIMIT)).machine).toHaveLength(255)
    expect(refusal(named(MACHINE_NAME_LIMIT + 1))).toEqual(
      says('LIMIT', 'The name of the machine is 256 bytes long, more than 255', header.length + 1),
    )
  })
})

describe('a list of RAM blocks is refused', () => {
  /** The section's header has 17 bytes. */
  const LIST = before.length + 17
  const FIRST = LIST + 8
  const listed = (...list: Buffer[]) =>
    join(before, start(RAM_ID, 'ram', 4, ...list, EOS), ramEnd, tail)

  it('with too many blocks', () => {
    const many = (count: number) => {
      const names = Array.from({ length: count }, (_, index) => `m${index}`)
      const blocks = names.map((name) => join(text(name), u64(0x1000n)))
      return listed(record(4, count * 0x1000), ...blocks)
    }
    expect(read(many(RAM_BLOCK_LIMIT)).ramBlocks).toHaveLength(4096)
    expect(refusal(many(RAM_BLOCK_LIMIT + 1))).toEqual(
      says('LIMIT', 'More than 4096 RAM blocks', LIST),
    )
  })

  it('with a block that is too long to count its bytes', () => {
    const long = (length: bigint) => listed(u64(length + 4n), text(BLOCK), u64(length))
    const longest = 2n ** 53n - 4096n
    expect(read(long(longest)).ramBlocks).toEqual([{ name: BLOCK, length: longest }])
    expect(refusal(long(2n ** 53n))).toEqual(
      says(
        'UNSUPPORTED',
        `The RAM block ${BLOCK} has 9007199254740992 bytes, which is beyond 2^53`,
        FIRST,
      ),
    )
  })

  it('with a block twice', () => {
    const a = join(text('a'), u64(0x1000n))
    expect(refusal(listed(record(4, 0x2000), a, a))).toEqual(
      says('FORMAT', 'The RAM block a is listed twice', FIRST + a.length),
    )
  })

  it('with another record before it', () => {
    expect(refusal(listed(EOS))).toEqual(
      says('FORMAT', 'The first RAM record must be the list of blocks', LIST),
    )
  })
})

describe('the image of a RAM block is refused', () => {
  const opening = join(header, configuration('pseries-10.0', capabilities('mapped-ram')))
  const AT = opening.length + 17 + 8 + text(BLOCK).length + 8
  const BITMAP = BigInt(AT + 28)
  const mapped = (length: bigint, ...image: Buffer[]) => {
    const list = join(u64(length + 4n), text(BLOCK), u64(length), ...image)
    return join(opening, start(RAM_ID, 'ram', 4, list, EOS), ramEnd, tail)
  }

  it.each([
    ['version', 2, 4096n],
    ['size of a page', 1, 65536n],
  ])('if it is of another %s', (_, version, pageSize) => {
    const image = join(u32(version), u64(pageSize), u64(BITMAP), u64(1n << 20n))
    expect(refusal(mapped(0x10000n, image))).toEqual(
      says(
        'UNSUPPORTED',
        `The image of the RAM block ${BLOCK} has version ${version} and pages of ${pageSize} bytes; this release reads version 1 and pages of 4096`,
        AT,
      ),
    )
  })

  it('if it ends where bytes can no longer be counted', () => {
    // One bit per page in the bitmap, behind which the pages begin at the next mebibyte.
    const reaching = (length: bigint) => {
      const bitmapEnd = BITMAP + 8n * ((length / 4096n + 63n) / 64n)
      const pages = ((bitmapEnd + 0xf_ffffn) >> 20n) << 20n
      return {
        end: pages + length,
        stream: mapped(length, u32(1), u64(4096n), u64(BITMAP), u64(pages)),
      }
    }
    const longest = 2n ** 53n - 2n ** 38n - 2n ** 20n + 2n ** 23n
    const fits = reaching(longest - 4096n)
    const reachesBeyond = reaching(longest)
    expect([fits.end, reachesBeyond.end]).toEqual([2n ** 53n - 4096n, 2n ** 53n])
    expect(refusal(fits.stream)).toEqual(
      says(
        'TRUNCATED',
        `The stream ends inside the image of the RAM block ${BLOCK}`,
        fits.stream.length,
      ),
    )
    expect(refusal(reachesBeyond.stream)).toEqual(
      says('UNSUPPORTED', `The image of the RAM block ${BLOCK} ends beyond byte 2^53`, AT),
    )
  })

  it('if a record has a page of it', () => {
    const image = join(u32(1), u64(4096n), u64(BITMAP), u64(1n << 20n))
    const gap = Buffer.alloc((1 << 20) - Number(BITMAP) + 0x1000)
    const page = record(0x08, 0, text(BLOCK), Buffer.alloc(4096))
    const stream = mapped(0x1000n, image, gap, page)
    expect(refusal(stream)).toEqual(
      says('FORMAT', 'A page record in a stream with mapped-ram', (1 << 20) + 0x1000),
    )
  })
})

describe('a section is refused', () => {
  it.each([
    [
      'if nothing says how long it is',
      start(7, 'block', 1),
      'UNSUPPORTED',
      'The stream does not say how long the section block is; of sections in pieces this release knows ram, spapr/htab, dirty-bitmap',
    ],
    [
      'if it is started twice',
      start(3, 'ram', 4, record(4, 0x1000, text('a'), u64(0x1000n)), EOS),
      'FORMAT',
      'The section ram is started twice',
    ],
    [
      'if it is started as another instance',
      join([1], u32(HTAB_ID), text('spapr/htab'), u32(1), u32(1), u32(18), footer(HTAB_ID)),
      'FORMAT',
      'The section spapr/htab has instance 1',
    ],
    [
      'if it is of another version',
      start(HTAB_ID, 'spapr/htab', 2, u32(18)),
      'VERSION',
      'The section spapr/htab has version 2; this release reads version 1',
    ],
    [
      'if it has the id of another',
      start(RAM_ID, 'spapr/htab', 1, u32(18)),
      'FORMAT',
      'The section spapr/htab has the id 2, which another has',
    ],
    ['if it was not started', part(9, EOS), 'FORMAT', 'The section 9 was not started'],
    [
      'of a kind that is not known',
      Buffer.of(9),
      'FORMAT',
      'A section of type 0x09 has no place here',
    ],
    ['if it is a subsection', Buffer.of(5), 'FORMAT', 'A subsection has no place here'],
  ])('%s', (_, section, code, problem) => {
    const opening = join(before, ramStart)
    expect(refusal(join(opening, section, ramEnd, tail))).toEqual(
      says(code, problem, opening.length),
    )
  })

  it('if its record without a page has an address', () => {
    const opening = join(before, ramStart)
    expect(refusal(join(opening, part(RAM_ID, record(0x10, 0x1000)), tail))).toEqual(
      says('FORMAT', 'A RAM record with the flags 0x10 has the address 0x1000', opening.length + 5),
    )
  })

  it('if it is of the hash page table, and begins neither way', () => {
    const opening = join(before, ramStart, htabStart)
    expect(refusal(join(opening, end(HTAB_ID, u32(1)), tail))).toEqual(
      says('FORMAT', 'A section of the hash page table begins with 0x01', opening.length + 5),
    )
  })

  it('if it goes on behind its end', () => {
    const opening = join(before, ramStart, ramEnd)
    expect(refusal(join(opening, part(RAM_ID, EOS), tail))).toEqual(
      says('FORMAT', 'The section ram has ended before', opening.length),
    )
  })

  it('if its footer is that of another', () => {
    const opening = join(before, ramStart, [2], u32(RAM_ID), EOS)
    expect(refusal(join(opening, footer(3), ramEnd, tail))).toEqual(
      says('FORMAT', 'The footer of the section ram has the id 3, not 2', opening.length),
    )
  })

  it('if it has no footer and others have', () => {
    const opening = join(before, ramStart, [2], u32(RAM_ID), EOS)
    expect(refusal(join(opening, end(RAM_ID, EOS), tail))).toEqual(
      says('FORMAT', 'The section ram does not end with a footer but with 0x03', opening.length),
    )
  })
})

describe('a package is refused', () => {
  const DATA = before.length + 5 + 4

  it('within another', () => {
    const inner = command(7, u32(1))
    const stream = join(before, command(7, u32(inner.length + 1)), inner, [0], tail)
    expect(refusal(stream)).toEqual(
      says('UNSUPPORTED', 'A package in a package, which QEMU does not write', DATA + inner.length),
    )
  })

  it('if it would be too long to be held', () => {
    const stream = join(before, command(7, u32(HELD_LIMIT + 1)), tail)
    expect(refusal(stream)).toEqual(
      says(
        'LIMIT',
        'A package of 67108865 bytes: packages have more than 67108864 in all',
        before.length,
      ),
    )
  })
})

describe('a description is refused', () => {
  const devices = join(front, timer, spapr, endMark)
  /** Where its JSON is, behind its mark and length. */
  const JSON_AT = devices.length + 5
  const described = (json: string) => {
    const bytes = Buffer.from(json)
    return join(devices, [6], u32(bytes.length), bytes)
  }
  const listing = (...listed: unknown[]) => join(devices, description(listed))
  const x = { name: 'x', instance_id: 0, vmsd_name: 'x', version: 1 }
  const withFields = (...fields: unknown[]) => listing({ ...x, fields })
  const withSubsection = (part: unknown) => listing({ ...x, fields: [], subsections: [part] })

  it('if it is too long', () => {
    const padded = (length: number) =>
      join(devices, [6], u32(length), Buffer.from('{'), Buffer.alloc(length - 1, 0xff))
    expect(refusal(padded(DESCRIPTION_LIMIT + 1))).toEqual(
      says('LIMIT', 'The description has 8388609 bytes, more than 8388608', devices.length),
    )
    // As many as it may have, and they are looked at.
    expect(refusal(padded(DESCRIPTION_LIMIT))).toEqual(
      says('FORMAT', 'The description is not valid UTF-8', JSON_AT),
    )
  }, 60_000)

  it.each([
    ['is shorter', -1, 'TRUNCATED', 'The description has 3 bytes, of which 2 are there'],
    ['goes on', 1, 'FORMAT', 'The description has 1 bytes, and 2 follow'],
  ])('if what is there %s', (_, difference, code, problem) => {
    const stream = join(devices, [6], u32(2 - difference), Buffer.from('{}'))
    expect(refusal(stream)).toEqual(says(code, problem, devices.length))
  })

  it.each([
    [
      'levels',
      '['.repeat(DESCRIPTION_DEPTH_LIMIT + 1),
      'The description has 66 levels, more than 64',
    ],
    [
      'arrays and objects',
      '[]'.repeat(DESCRIPTION_NODE_LIMIT),
      'The description has 262145 arrays and objects, more than 262144',
    ],
    [
      'keys',
      ':'.repeat(DESCRIPTION_KEY_LIMIT + 1),
      'The description has 524289 keys, more than 524288',
    ],
  ])('if it has too many %s', (_, many, problem) => {
    expect(refusal(described(`{${many}`))).toEqual(says('LIMIT', problem, JSON_AT))
  })

  it('if it is no JSON, with the reason for a cause', () => {
    expect(() => read(described('{]'))).toThrow(
      expect.objectContaining({
        code: 'ERR_VMSTATE_FORMAT',
        message: expect.stringMatching(
          new RegExp(String.raw`^The description is not JSON: .+ \(at byte ${JSON_AT}, `),
        ) as string,
        cause: expect.any(SyntaxError) as Error,
      }),
    )
  })

  it('if it has a key twice in one object', () => {
    expect(refusal(described('{"page_size":4096,"devices":[],"devices":[]}'))).toEqual(
      says('FORMAT', 'The description has a key twice in one object', JSON_AT),
    )
  })

  it('if it is not UTF-8', () => {
    const stream = join(devices, [6], u32(3), [0x7b, 0xff, 0x7d])
    expect(refusal(stream)).toEqual(says('FORMAT', 'The description is not valid UTF-8', JSON_AT))
  })

  const byte = integer('q', 'uint8', 1)
  it.each([
    ['a device', listing(5), 'devices[0] must be an object, and is 5'],
    ['a device', listing(null), 'devices[0] must be an object, and is null'],
    [
      'a device',
      listing([x]),
      `devices[0] must be an object, and is [${JSON.stringify(x).slice(0, 39)}`,
    ],
    ['a list of fields', listing(x), 'devices[0].fields must be an array, and is missing'],
    ['a field', withFields('q'), 'devices[0].fields[0] must be an object, and is "q"'],
    [
      'the name of a field',
      withFields({ ...byte, name: 1 }),
      'devices[0].fields[0].name must be a string, and is 1',
    ],
    [
      'the name of a device',
      listing({ ...x, name: 'é', fields: [] }),
      'devices[0].name must be at most 255 printable characters of ASCII, and is "é"',
    ],
    [
      'an instance',
      listing({ ...x, instance_id: 2 ** 32, fields: [] }),
      'devices[0].instance_id must be an integer from 0 to 2^32 - 1, and is 4294967296',
    ],
    [
      'a version',
      listing({ ...x, version: -1, fields: [] }),
      'devices[0].version must be an integer from 0 to 2^32 - 1, and is -1',
    ],
    [
      'a size',
      withFields({ ...byte, size: HELD_LIMIT + 1 }),
      'devices[0].fields[0].size must be an integer from 0 to 67108864, and is 67108865',
    ],
    [
      'the length of an array',
      withFields({ ...byte, array_len: 1.5 }),
      'devices[0].fields[0].array_len must be an integer from 0 to 67108864, and is 1.5',
    ],
    [
      'the structure of a field',
      withFields({ ...byte, struct: [] }),
      'devices[0].fields[0].struct must be an object, and is []',
    ],
    [
      'the size of a structure',
      withFields({ ...byte, size: 2, struct: { fields: [byte] } }),
      'devices[0].fields[0].size must be 1, the size of the struct in it, and is 2',
    ],
    [
      'the name of a subsection',
      withSubsection({ version: 1, fields: [] }),
      'devices[0].subsections[0].vmsd_name must be a string, and is missing',
    ],
    [
      'the version of a subsection',
      withSubsection({ vmsd_name: 'x/y', fields: [] }),
      'devices[0].subsections[0].version must be a number, and is missing',
    ],
    [
      'the size of a page',
      join(devices, description([], { page_size: 65536 })),
      'page_size must be 4096, and is 65536',
    ],
  ])('if %s is not what it must be', (_, stream, problem) => {
    expect(refusal(stream)).toEqual(says('FORMAT', `In the description, ${problem}`, JSON_AT))
  })

  const half = integer('h', 'buffer', HELD_LIMIT / 2)
  it.each([
    ['a device', withFields(half, half, byte), 'devices[0] has 67108865 bytes'],
    [
      'a device and its subsection',
      listing({
        ...x,
        fields: [half],
        subsections: [{ vmsd_name: 'y', version: 1, fields: [half] }],
      }),
      // Mark, length of the name, name, version.
      'devices[0] has 67108871 bytes',
    ],
    ['an array', withFields({ ...half, array_len: 3 }), 'devices[0].fields[0] has 100663296 bytes'],
  ])('if it has more bytes in %s than are held', (_, stream, problem) => {
    expect(refusal(stream)).toEqual(
      says('LIMIT', `In the description, ${problem}, more than 67108864`, JSON_AT),
    )
  })

  it('if it lacks a device', () => {
    const listed = join(front, timer, spapr, endMark, description([describedTimer]))
    expect(refusal(listed)).toEqual(
      says(
        'FORMAT',
        'The description lacks the device spapr (instance 0), which is here',
        front.length + timer.length,
      ),
    )
  })

  it.each([
    ['another', { name: 'nvram' }, 'nvram (instance 0, version 3)'],
    ['another instance of it', { instance_id: 1 }, 'spapr (instance 1, version 3)'],
    ['another version of it', { version: 2 }, 'spapr (instance 0, version 2)'],
    ['another of no version', { name: 'old', version: undefined }, 'old (instance 0)'],
  ])('if it has instead of a device %s', (_, changes, there) => {
    const stream = listing(describedTimer, { ...describedSpapr, ...changes })
    expect(refusal(stream)).toEqual(
      says(
        'FORMAT',
        `The description has the device ${there} where the stream has the device spapr (instance 0, version 3)`,
        front.length + timer.length,
      ),
    )
  })

  it('if it has more devices than the stream', () => {
    expect(refusal(listing(describedTimer, describedSpapr, { ...x, fields: [] }))).toEqual(
      says('FORMAT', 'Devices in the description that are not in the stream: 1', devices.length),
    )
  })
})

describe('devices are refused', () => {
  it('if they have too many fields', () => {
    // Structures of 16 values, 16 less than may be; x, the timer and spapr have 13 by themselves.
    const fields = Array.from({ length: 15 }, (_, index) => integer(`q${index}`, 'uint8', 1))
    const elements = (VALUE_LIMIT - 16) / 16
    const struct = { name: 'e', type: 'struct', size: 15, array_len: elements, struct: { fields } }
    const withFurther = (count: number) => {
      const further = Array.from({ length: count }, () => integer('f', 'uint8', 1))
      const described = { name: 'x', instance_id: 0, version: 1, fields: [struct, ...further] }
      return streamWith(full(9, 'x', 1, Buffer.alloc(15 * elements + count)), described)
    }
    expect(read(withFurther(3)).devices[1]?.fields['e']).toHaveLength(elements)
    const stream = withFurther(4)
    expect(refusal(stream)).toEqual(
      says('LIMIT', 'More than 524288 fields in the devices', stream.indexOf('{')),
    )
  })

  it('if they have not the subsection that is described', () => {
    const other = full(21, 'spapr', 3, tb, subsection('spapr_fwnmj', 1, u32(7)))
    const stream = join(front, timer, other, endMark, description([describedTimer, describedSpapr]))
    expect(refusal(stream)).toEqual(
      says(
        'FORMAT',
        'By the description the subsection spapr_fwnmi, version 1, must be here',
        stream.indexOf(tb) + tb.length,
      ),
    )
  })
})

describe('the timebase is refused', () => {
  const SPAPR_AT = front.length + timer.length
  /** Mark, id, name, instance and version. */
  const HEADER_BYTES = 1 + 4 + text('spapr').length + 4 + 4

  it.each([
    ['', join(header)],
    [' of a pseries-7.2 guest', before],
  ])('if the stream%s has no section spapr', (of, opening) => {
    const devices = join(opening, timer, endMark)
    expect(refusal(join(devices, description([describedTimer])))).toEqual(
      says(
        'MISSING',
        `This stream${of} has no section spapr, where the timebase of a pseries guest is`,
        devices.length,
      ),
    )
  })

  const again = full(22, 'spapr', 3, tb, spaprFwnmi)
  const second = join([4], u32(21), text('spapr'), u32(1), u32(3), tb, spaprFwnmi, footer(21))
  it.each([
    ['is there twice', join(spapr, again), [describedSpapr, describedSpapr]],
    ['is another instance', second, [{ ...describedSpapr, instance_id: 1 }]],
  ])('if its section %s', (_, sections, described) => {
    const stream = join(
      front,
      timer,
      sections,
      endMark,
      description([describedTimer, ...described]),
    )
    expect(refusal(stream)).toEqual(
      says(
        'FORMAT',
        'The section spapr must be there once, as instance 0',
        SPAPR_AT + HEADER_BYTES,
      ),
    )
  })

  it.each([
    [1, 'MISSING', 'has version 1, in which there is no timebase'],
    [4, 'VERSION', 'has version 4; this release reads versions 2 and 3'],
  ])('if its section is of version %d', (version, code, problem) => {
    const section = full(21, 'spapr', version, tb, spaprFwnmi)
    const described = [describedTimer, { ...describedSpapr, version }]
    expect(refusal(join(front, timer, section, endMark, description(described)))).toEqual(
      says(code, `The section spapr ${problem}`, SPAPR_AT + HEADER_BYTES),
    )
  })

  const uint = (name: string) => integer(name, 'uint64', 8)
  const int = (name: string) => integer(name, 'int64', 8)
  const tbOf = (...fields: object[]) => ({
    name: 'tb',
    type: 'struct',
    size: 8 * fields.length,
    struct: { fields },
  })
  const good = tbOf(uint('guest_timebase'), int('time_of_the_day_ns'))
  it.each([
    ['not there', 16, [{ ...good, name: 'bt' }]],
    ['an array', 16, [{ ...good, array_len: 1 }]],
    ['behind another', 32, [uint('tb0'), int('tb1'), good]],
    ['no structure', 16, [integer('tb', 'buffer', 16)]],
    ['signed', 16, [tbOf(int('guest_timebase'), int('time_of_the_day_ns'))]],
    ['without a time', 16, [tbOf(uint('guest_timebase'), int('time'))]],
    ['behind its time', 16, [tbOf(int('time_of_the_day_ns'), uint('guest_timebase'))]],
    [
      'one of many',
      16,
      [tbOf({ ...uint('guest_timebase'), array_len: 1 }, int('time_of_the_day_ns'))],
    ],
    ['longer', 24, [tbOf(uint('guest_timebase'), int('time_of_the_day_ns'), int('more'))]],
  ])('if it is described as %s', (_, size, fields) => {
    const section = full(21, 'spapr', 3, Buffer.alloc(size))
    const described = [describedTimer, { ...describedSpapr, fields, subsections: [] }]
    expect(refusal(join(front, timer, section, endMark, description(described)))).toEqual(
      says(
        'FORMAT',
        'In the description, the section spapr must have at byte 0 the field tb, of guest_timebase (uint64) and time_of_the_day_ns (int64)',
        SPAPR_AT + HEADER_BYTES,
      ),
    )
  })

  const [ticks, unused, clock] = describedTimer.fields
  it.each([
    ['elsewhere', [clock, unused, ticks]],
    ['not there', [ticks, unused, int('cpu_clock')]],
    ['unsigned', [ticks, unused, uint('cpu_clock_offset')]],
    ['shorter', [ticks, unused, integer('cpu_clock_offset', 'int64', 4), integer('u', 'b', 4)]],
    ['one of many', [ticks, unused, { ...clock, array_len: 1 }]],
  ])('if the offset of the virtual clock is described as %s', (_, fields) => {
    const stream = join(
      front,
      timer,
      spapr,
      endMark,
      description([{ ...describedTimer, fields }, describedSpapr]),
    )
    expect(refusal(stream)).toEqual(
      says(
        'FORMAT',
        'In the description, the section timer must have at byte 16 the field cpu_clock_offset (int64)',
        front.length + HEADER_BYTES,
      ),
    )
  })
})

describe('what QEMU itself would take, and this release does not read, is refused by name', () => {
  const opening = join(before, ramStart)
  const RECORD = opening.length + 5
  const inPart = (flags: number) => join(opening, part(RAM_ID, record(flags, 0)), tail)
  const timerOf = (version: number) =>
    join(
      front,
      full(3, 'timer', version, Buffer.alloc(24)),
      spapr,
      endMark,
      description([{ ...describedTimer, version }, describedSpapr]),
    )
  const [tbField] = describedSpapr.fields
  const newerTb = { ...tbField, struct: { ...tbField?.struct, vmsd_name: 'timebase', version: 2 } }
  const ofNewerTb = join(
    front,
    timer,
    spapr,
    endMark,
    description([describedTimer, { ...describedSpapr, fields: [newerTb] }]),
  )

  it.each([
    [
      'COLO',
      join(before, command(8), ramStart, tail),
      'UNSUPPORTED',
      'The stream is one of a migration with COLO (command ENABLE_COLO), which goes on with checkpoints; this release does not read those',
      before.length,
    ],
    [
      'RDMA',
      inPart(0x80),
      'UNSUPPORTED',
      'The stream is one of a migration by RDMA, which sends the pages of RAM beside it; this release does not read those',
      RECORD,
    ],
    [
      'pages as before 2009',
      inPart(0x01),
      'UNSUPPORTED',
      'A RAM record has the flag 0x01, which QEMU has not written since 2009; this release does not read it',
      RECORD,
    ],
    [
      'a new command',
      join(before, command(12), tail),
      'UNSUPPORTED',
      'The command 12 is not known',
      before.length,
    ],
    [
      'a new section timer',
      timerOf(3),
      'VERSION',
      'The section timer has version 3; this release reads version 2',
      front.length + 19,
    ],
    [
      'a new timebase',
      ofNewerTb,
      'VERSION',
      'The timebase in the section spapr has version 2; this release reads version 1',
      front.length + timer.length + 19,
    ],
  ])('%s', (_, stream, code, problem, offset) => {
    expect(refusal(stream)).toEqual(says(code, problem, offset))
  })

  it.each([
    ['a channel of multifd', join([0x11, 0x22, 0x33, 0x44], u32(1), Buffer.alloc(56))],
    ['a channel of postcopy-preempt', join(record(0x08, 0x3000, text(BLOCK)), Buffer.alloc(4096))],
    ['a channel of postcopy-preempt', join(record(0x02, 0x3000, text(BLOCK)), [0])],
    ['in front of a stream for CPR', join(Buffer.from('QCPR'), u32(1))],
    ['lz4', join([0x04, 0x22, 0x4d, 0x18], Buffer.alloc(20))],
  ])('as a file that is not a stream: %s', (what, file) => {
    expect(refusal(file)).toMatchObject({
      code: 'ERR_VMSTATE_FORMAT',
      message: expect.stringContaining(what) as string,
    })
  })
})
