import { describe, expect, it } from 'vitest'
import { readQemuStream, readQemuTimebase } from '../../../lib/vmstate/index.ts'
import { LISTED_LIMIT } from '../../../lib/vmstate/stream/limits.ts'
import {
  BLOCK,
  BLOCK_BYTES,
  blockList,
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
  GUEST_TIMEBASE,
  header,
  HTAB_ID,
  htabEnd,
  htabStart,
  i64,
  integer,
  join,
  ordinary,
  part,
  RAM_ID,
  ramEnd,
  ramPart,
  ramStart,
  record,
  spapr,
  spaprFwnmi,
  start,
  streamWith,
  subsection,
  tb,
  tbField,
  text,
  TIME_OF_DAY_NS,
  timer,
  u16,
  u32,
  u64,
  VIRTUAL_CLOCK_TIMEBASE,
} from './build.ts'
import { read } from './read.ts'

const devices = description([describedTimer, describedSpapr])
const tail = join(timer, spapr, endMark, devices)
const before = join(header, configuration('pseries-7.2'))

describe('an ordinary stream', () => {
  it('tells all about itself', () => {
    expect(read(ordinary)).toEqual({
      machine: 'pseries-7.2',
      capabilities: [],
      footers: true,
      ramBlocks: [{ name: BLOCK, length: BigInt(BLOCK_BYTES) }],
      htabShift: 18,
      sections: [
        { type: 'start', id: 2, name: 'ram', instance: 0, version: 4, offset: 24, length: 60 },
        {
          type: 'start',
          id: 563,
          name: 'spapr/htab',
          instance: 0,
          version: 1,
          offset: 84,
          length: 33,
        },
        { type: 'part', id: 2, name: 'ram', instance: 0, version: 4, offset: 117, length: 4145 },
        { type: 'end', id: 2, name: 'ram', instance: 0, version: 4, offset: 4262, length: 18 },
        {
          type: 'end',
          id: 563,
          name: 'spapr/htab',
          instance: 0,
          version: 1,
          offset: 4280,
          length: 62,
        },
        { type: 'full', id: 0, name: 'timer', instance: 0, version: 2, offset: 4342, length: 48 },
        { type: 'full', id: 21, name: 'spapr', instance: 0, version: 3, offset: 4390, length: 61 },
      ],
      partSections: 1,
      commands: [],
      described: true,
      devices: [
        {
          name: 'timer',
          instance: 0,
          vmsdName: 'timer',
          version: 2,
          offset: 4361,
          length: 24,
          fields: { cpu_ticks_offset: -5n, unused: Buffer.alloc(8), cpu_clock_offset: 1_000_001n },
          subsections: [],
        },
        {
          name: 'spapr',
          instance: 0,
          vmsdName: 'spapr',
          version: 3,
          offset: 4409,
          length: 37,
          fields: {
            tb: {
              name: 'timebase',
              version: 1,
              fields: { guest_timebase: GUEST_TIMEBASE, time_of_the_day_ns: TIME_OF_DAY_NS },
              subsections: [],
            },
          },
          subsections: [{ name: 'spapr_fwnmi', version: 1, fields: { fwnmi: 7 }, subsections: [] }],
        },
      ],
      timebase: {
        guestTimebase: GUEST_TIMEBASE,
        timeOfDayNs: TIME_OF_DAY_NS,
        virtualClockTimebase: VIRTUAL_CLOCK_TIMEBASE,
        offset: 4409,
        searched: false,
      },
    })
  })

  it('gives its timebase alone', async () => {
    expect(await readQemuTimebase(ordinary)).toEqual(read(ordinary).timebase)
  })

  it('does not keep the memory of the caller', async () => {
    const bytes = Buffer.from(ordinary)
    const { devices } = await readQemuStream(bytes)
    bytes.fill(0xff)
    expect(devices[0]?.fields['unused']).toEqual(Buffer.alloc(8))
  })
})

describe('the configuration', () => {
  it("has the guest's UUID, and the size of a page that every such guest has", () => {
    const uuid = Buffer.from('00112233445566778899aabbccddeeff', 'hex')
    const opening = configuration(
      'pseries-7.2',
      subsection('configuration/target-page-bits', 1, u32(12)),
      subsection('configuration/uuid', 1, uuid),
    )
    expect(read(join(header, opening, tail)).uuid).toBe('00112233-4455-6677-8899-aabbccddeeff')
  })
})

describe('RAM records', () => {
  const named = (flags: number, ...rest: Buffer[]) => record(flags, 0, text(BLOCK), ...rest)
  const withPart = (...records: Buffer[]) =>
    join(before, ramStart, part(RAM_ID, ...records, EOS), ramEnd, tail)

  it.each([
    ['a page and a zero page', [named(0x08, Buffer.alloc(4096, 1)), record(0x22, 0x1000, [0])]],
    ['an XBZRLE page', [named(0x40, join([1], u16(3), Buffer.alloc(3)))]],
    ['a compressed page', [named(0x100, u32(20), Buffer.alloc(20))]],
    ['a flush of multifd', [record(0x200, 0)]],
  ])('are read: %s', (_, records) => {
    expect(read(withPart(...records)).timebase.guestTimebase).toBe(GUEST_TIMEBASE)
  })

  it('go on with the block of the section before', () => {
    const continued = part(RAM_ID, record(0x28, 0x2000, Buffer.alloc(4096)), EOS)
    const stream = join(before, ramStart, ramPart, continued, ramEnd, tail)
    expect(read(stream).partSections).toBe(2)
  })

  it.each([
    ['no flag at all', record(0, 0)],
    ['RDMA', record(0x80, 0)],
    ['two kinds in one', named(0x48, Buffer.alloc(4096))],
    ['a block that is not listed', record(0x08, 0, text('other'), Buffer.alloc(4096))],
    [
      'a page behind the end of its block',
      record(0x08, BLOCK_BYTES, text(BLOCK), Buffer.alloc(4096)),
    ],
    ['CONTINUE where nothing was before', record(0x28, 0, Buffer.alloc(4096))],
    ['an unknown encoding', named(0x40, join([2], u16(3), Buffer.alloc(3)))],
    ['an XBZRLE page that is too long', named(0x40, join([1], u16(4097), Buffer.alloc(4097)))],
    ['a compressed page that is too long', named(0x100, u32(4111), Buffer.alloc(4111))],
    ['a second list of blocks', blockList()],
  ])('are refused: %s', (_, bad) => {
    expect(() => read(withPart(bad))).toThrow(/ \(at byte (89|9\d|1\d\d), /)
  })

  it('are refused when they reach behind the block by CONTINUE', () => {
    const stream = withPart(named(0x02, Buffer.of(0)), record(0x22, BLOCK_BYTES, [0]))
    expect(() => read(stream)).toThrow('A page at 0x10000 of the RAM block ppc_spapr.ram')
  })

  it.each([
    ['is empty', record(4, 0)],
    ['has a block of no length', record(4, BLOCK_BYTES, text(BLOCK), u64(0n))],
    ['has half a page', record(4, BLOCK_BYTES, text(BLOCK), u64(0x800n))],
    ['has a block longer than all', record(4, BLOCK_BYTES, text(BLOCK), u64(0x20000n))],
    ['has a block of 2^63 bytes', record(4, 0x1000, text(BLOCK), u64(1n << 63n))],
    ['has a block twice', record(4, 0x2000, text('a'), u64(0x1000n), text('a'), u64(0x1000n))],
    ['ends too early', record(4, 0x2000, text('a'), u64(0x1000n))],
  ])('are refused if the list of blocks %s', (_, list) => {
    const stream = join(before, start(RAM_ID, 'ram', 4, list, EOS), ramEnd, tail)
    expect(() => read(stream)).toThrow(expect.objectContaining({ name: 'OneRegError' }))
  })

  it('are listed with the guest address under x-ignore-shared', () => {
    const stream = join(
      header,
      configuration('pseries-7.2', capabilities('x-ignore-shared')),
      start(RAM_ID, 'ram', 4, blockList(u64(0x40000n)), EOS),
      ramEnd,
      tail,
    )
    expect(read(stream)).toMatchObject({
      capabilities: ['x-ignore-shared'],
      ramBlocks: [{ name: BLOCK, guestAddress: 0x40000n }],
    })
  })
})

describe('a stream with mapped-ram', () => {
  const opening = join(header, configuration('pseries-10.0', capabilities('mapped-ram')))
  const mapped = (bitmapDelta: bigint, pages: bigint) => {
    // The section's header has 17 bytes; record, name and length come next, then the 28 bytes.
    const bitmap = BigInt(opening.length + 17 + 8 + text(BLOCK).length + 8 + 28)
    const image = Buffer.alloc(Number(pages - bitmap) + BLOCK_BYTES, 0x5a)
    const list = blockList(u32(1), u64(4096n), u64(bitmap + bitmapDelta), u64(pages), image)
    return join(opening, start(RAM_ID, 'ram', 4, list, EOS), ramEnd, tail)
  }

  it('is read over the image', () => {
    expect(read(mapped(0n, 1n << 20n)).timebase.guestTimebase).toBe(GUEST_TIMEBASE)
  })

  it.each([
    ['the bitmap', mapped(-8n, 1n << 20n)],
    ['the pages', mapped(0n, (1n << 20n) + 4096n)],
  ])('is refused if %s are elsewhere', (_, stream) => {
    expect(() => read(stream)).toThrow('they must be at')
  })
})

describe('the hash page table', () => {
  const withTable = (shift: Buffer, ...body: Buffer[]) =>
    join(before, ramStart, start(HTAB_ID, 'spapr/htab', 1, shift), end(HTAB_ID, ...body), tail)

  it('is not there in a radix guest', () => {
    expect(read(withTable(u32(0xffffffff), u32(0xffffffff))).htabShift).toBeUndefined()
  })

  it.each([
    ['is too small', withTable(u32(17), u32(0), Buffer.alloc(8))],
    ['is too large', withTable(u32(47), u32(0), Buffer.alloc(8))],
    ['is there though there is none', withTable(u32(0xffffffff), u32(0), Buffer.alloc(8))],
    [
      'is longer than it is',
      withTable(u32(18), u32(0), u32(16383), u16(1), u16(1), Buffer.alloc(24)),
    ],
  ])('is refused if it %s', (_, stream) => {
    expect(() => read(stream)).toThrow(/hash page table.*at byte 1\d\d,/)
  })
})

describe('commands', () => {
  it('are listed', () => {
    const stream = join(before, command(1), command(2, u32(1)), command(3, Buffer.alloc(16)), tail)
    expect(read(stream).commands).toEqual([
      { name: 'OPEN_RETURN_PATH', offset: 24 },
      { name: 'PING', offset: 29 },
      { name: 'POSTCOPY_ADVISE', offset: 38 },
    ])
  })

  it('may be more than are listed', () => {
    const many = Buffer.concat(Array<Buffer>(LISTED_LIMIT + 1).fill(command(1)))
    const { commands, timebase } = read(join(before, many, command(11), tail))
    expect(commands).toHaveLength(LISTED_LIMIT)
    expect(commands.at(-1)?.name).toBe('OPEN_RETURN_PATH')
    expect(timebase.guestTimebase).toBe(GUEST_TIMEBASE)
  })

  it.each([
    ['one that is not known', command(12)],
    ['one with too much data', command(1, u32(0))],
    ['one with too little', command(2)],
    ['a package in a package', command(7, u32(10), command(7, u32(1)), [0])],
    ['a package that is longer than the stream', command(7, u32(50_000_000))],
  ])('are refused: %s', (_, bad) => {
    expect(() => read(join(before, bad, tail))).toThrow(
      expect.objectContaining({ code: expect.stringMatching(/^ERR_VMSTATE_/) as string }),
    )
  })
})

describe('a stream of a postcopy migration', () => {
  const contents = join(command(4), timer, spapr, command(5))
  const stream = join(
    before,
    ramStart,
    ramPart,
    command(7, u32(contents.length)),
    contents,
    ramPart,
    ramEnd,
    endMark,
  )

  it('has its devices in a package, and yields the timebase when it is searched', () => {
    expect(read(stream, true)).toMatchObject({
      described: false,
      devices: [],
      commands: [{ name: 'PACKAGED' }, { name: 'POSTCOPY_LISTEN' }],
      partSections: 2,
      timebase: {
        guestTimebase: GUEST_TIMEBASE,
        searched: true,
        offset: stream.indexOf(tb),
      },
    })
  })

  it('is refused otherwise', () => {
    expect(() => read(stream)).toThrow(expect.objectContaining({ code: 'ERR_VMSTATE_MISSING' }))
  })
})

describe('a search', () => {
  const nvram = (...contents: Buffer[]) => full(9, 'nvram', 1, ...contents)

  it('finds the timebase in a stream of devices only', () => {
    const { timebase } = read(join(header, timer, spapr, endMark), true)
    expect(timebase).toMatchObject({ guestTimebase: GUEST_TIMEBASE, searched: true })
    expect(timebase.virtualClockTimebase).toBeUndefined()
  })

  it('finds version 2 as well', () => {
    const old = full(21, 'spapr', 2, u32(0), u64(5n), tb)
    expect(read(join(front, timer, old, endMark), true).timebase).toMatchObject({
      guestTimebase: GUEST_TIMEBASE,
      timeOfDayNs: TIME_OF_DAY_NS,
    })
  })

  it('refuses to choose between two places', () => {
    const stream = join(front, timer, nvram(spapr), spapr, endMark)
    expect(() => read(stream, true)).toThrow('can be at any of these bytes: 4428, 4494')
  })

  it('passes over what does not end like a section', () => {
    const decoy = join(spapr.subarray(0, 5), text('spapr'), u32(0), u32(3), tb, [0x7e], u32(22))
    const stream = join(front, timer, nvram(decoy), spapr, endMark)
    expect(read(stream, true).timebase.guestTimebase).toBe(GUEST_TIMEBASE)
  })

  it.each([
    ['a subsection', true, spaprFwnmi],
    ['a footer', true, footer(21)],
    ['the end mark', false, endMark],
    ['another device', false, Buffer.of(4)],
  ])('takes what is followed by %s: with footers %s', (_, footers, next) => {
    const section = full(21, 'spapr', 3, tb)
    const bare = section.subarray(0, section.length - footer(21).length)
    const ram = footers ? ramStart : ramStart.subarray(0, ramStart.length - footer(RAM_ID).length)
    expect(read(join(before, ram, bare, next, endMark), true)).toMatchObject({
      footers,
      timebase: { guestTimebase: GUEST_TIMEBASE, searched: true },
    })
    // In a stream of devices only nothing says whether there are footers.
    expect(read(join(header, bare, next, endMark), true).timebase.guestTimebase).toBe(
      GUEST_TIMEBASE,
    )
    if (next === spaprFwnmi) return
    const other = footers ? ramStart.subarray(0, ramStart.length - footer(RAM_ID).length) : ramStart
    expect(() => read(join(before, other, bare, next, endMark), true)).toThrow(
      'nothing in it looks like the section spapr',
    )
  })

  it.each([
    ['nothing fits', join(front, timer, endMark)],
    ['there are no devices', join(front, endMark)],
  ])('is an error if %s', (_, stream) => {
    expect(() => read(stream, true)).toThrow(
      expect.objectContaining({ code: 'ERR_VMSTATE_MISSING' }),
    )
  })

  it('is not made where the description says it', () => {
    const stream = streamWith(nvram(spapr), {
      name: 'nvram',
      instance_id: 0,
      fields: [integer('buf', 'buffer', spapr.length)],
    })
    expect(read(stream, true).timebase).toMatchObject({ searched: false })
  })
})

describe('the section spapr', () => {
  const withSpapr = (section: Buffer, described: object) =>
    join(front, timer, section, endMark, description([describedTimer, described]))

  it('has its timebase behind other fields in version 2', () => {
    const section = full(21, 'spapr', 2, u32(0), u64(5n), tb)
    const fields = [
      integer('unused', 'unused_buffer', 4),
      integer('rtc_offset', 'uint64', 8),
      tbField,
    ]
    const described = { ...describedSpapr, version: 2, fields, subsections: [] }
    expect(read(withSpapr(section, described)).timebase.guestTimebase).toBe(GUEST_TIMEBASE)
  })

  it('is enough, without a section timer: then there is no virtual clock', () => {
    const alone = join(front, spapr, endMark, description([describedSpapr]))
    expect(read(alone).timebase).toStrictEqual({
      guestTimebase: GUEST_TIMEBASE,
      timeOfDayNs: TIME_OF_DAY_NS,
      offset: front.length + spapr.indexOf(tb),
      searched: false,
    })
    // The clock is instance 0. The instance stands before the version and the 24 bytes of the contents.
    const other = Buffer.from(timer)
    other[timer.length - footer(0).length - 24 - 5] = 1
    const described = [{ ...describedTimer, instance_id: 1 }, describedSpapr]
    const beside = join(front, other, spapr, endMark, description(described))
    expect(read(beside).timebase).not.toHaveProperty('virtualClockTimebase')
  })

  it.each([
    [-1n, 2n ** 64n - 1n],
    [-1000n, 2n ** 64n - 512n],
    [-1001n, 2n ** 64n - 513n],
    [0n, 0n],
    [999n, 511n],
    [1000n, 512n],
    [2n ** 63n - 1n, ((2n ** 63n - 1n) * 512n) / 1000n],
  ])('has a virtual clock at %d ns beside it, whose ticks are rounded down', (ns, ticks) => {
    const clock = full(0, 'timer', 2, Buffer.alloc(16), i64(ns))
    const stream = join(front, clock, spapr, endMark, devices)
    expect(read(stream).timebase.virtualClockTimebase).toBe(ticks)
  })

  it.each([
    [1, 'ERR_VMSTATE_MISSING'],
    [4, 'ERR_VMSTATE_VERSION'],
  ])('is refused in version %d', (version, code) => {
    const section = full(21, 'spapr', version, tb, spaprFwnmi)
    expect(() => read(withSpapr(section, { ...describedSpapr, version }))).toThrow(
      expect.objectContaining({ code }),
    )
  })

  it.each([
    [
      'twice',
      join(
        front,
        timer,
        spapr,
        full(22, 'spapr', 3, tb, spaprFwnmi),
        endMark,
        description([describedTimer, describedSpapr, describedSpapr]),
      ),
    ],
    ['not at all', join(front, timer, endMark, description([describedTimer]))],
  ])('is refused if it is there %s', (_, stream) => {
    expect(() => read(stream)).toThrow('section spapr')
  })
})

describe('devices', () => {
  it('may come before RAM has been sent', () => {
    const stream = join(before, ramStart, timer, ramPart, ramEnd, spapr, endMark, devices)
    const { sections, timebase } = read(stream)
    expect(sections.map(({ name }) => name)).toEqual(['ram', 'timer', 'ram', 'ram', 'spapr'])
    expect(timebase.guestTimebase).toBe(GUEST_TIMEBASE)
  })

  const decoded = (body: Buffer, fields: unknown[], subsections: unknown[] = []) => {
    const described = { name: 'x', instance_id: 0, vmsd_name: 'x', version: 1, fields, subsections }
    const [, device] = read(streamWith(full(9, 'x', 1, body), described)).devices
    return device
  }

  it('have integers of each width, bools and bytes', () => {
    const body = join(
      [0xff, 0xff],
      u16(0xfffe),
      u32(0xfffffffe),
      u64(2n ** 64n - 2n),
      [1, 0],
      [9, 8, 7],
    )
    const fields = [
      integer('a', 'uint8', 1),
      integer('b', 'int8', 1),
      integer('c', 'int16', 2),
      integer('d', 'uint32 equal', 4),
      integer('e', 'uint64', 8),
      integer('f', 'bool', 1),
      integer('g', 'bool', 1),
      integer('h', 'pci config', 3),
    ]
    expect(decoded(body, fields)?.fields).toEqual({
      a: 255,
      b: -1,
      c: -2,
      d: 0xfffffffe,
      e: 2n ** 64n - 2n,
      f: true,
      g: false,
      h: Buffer.of(9, 8, 7),
    })
  })

  it('have arrays of integers as typed arrays', () => {
    const fields = [
      { ...integer('a', 'uint16', 2), array_len: 2 },
      { ...integer('b', 'int64', 8), array_len: 1 },
      { ...integer('c', 'avr', 2), array_len: 2 },
      { ...integer('d', 'uint32', 4), array_len: 0 },
    ]
    expect(
      decoded(join(u16(1), u16(2), u64(2n ** 64n - 1n), [1, 2, 3, 4]), fields)?.fields,
    ).toEqual({
      a: Uint16Array.of(1, 2),
      b: BigInt64Array.of(-1n),
      c: Buffer.of(1, 2, 3, 4),
      d: new Uint32Array(0),
    })
  })

  it.each([
    ['uint8', Uint8Array.of(1, 0xfe)],
    ['int8', Int8Array.of(1, -2)],
    ['uint16', Uint16Array.of(1, 0xfffe)],
    ['int16', Int16Array.of(1, -2)],
    ['uint32', Uint32Array.of(1, 0xffff_fffe)],
    ['int32', Int32Array.of(1, -2)],
    ['uint64', BigUint64Array.of(1n, 2n ** 64n - 2n)],
    ['int64', BigInt64Array.of(1n, -2n)],
  ])('have arrays of %s, big-endian, and so by its other names', (type, array) => {
    const size = array.BYTES_PER_ELEMENT
    // Big-endian 1, and the number that has a one in each bit but the last.
    const bytes = Buffer.alloc(2 * size, 0xff).fill(0, 0, size)
    bytes[size - 1] = 1
    bytes[2 * size - 1] = 0xfe
    for (const name of [type, `${type} equal`, `${type} le`]) {
      const fields = [{ ...integer('a', name, size), array_len: 2 }]
      expect(decoded(bytes, fields)?.fields).toEqual({ a: array })
    }
  })

  it('have arrays of structures, described once or one by one', () => {
    const struct = { vmsd_name: 's', version: 1, fields: [integer('q', 'uint8', 1)] }
    const element = { name: 'b', type: 'struct', size: 1, struct }
    const fields = [
      { ...element, name: 'a', array_len: 2 },
      { ...element, index: 0 },
      { ...element, index: 1 },
      { name: 'c', type: 'nullptr', size: 1 },
      { ...element, name: 'c' },
    ]
    const s = (q: number) => ({ name: 's', version: 1, fields: { q }, subsections: [] })
    expect(decoded(Buffer.of(1, 2, 3, 4, 0x30, 5), fields)?.fields).toEqual({
      a: [s(1), s(2)],
      b: [s(3), s(4)],
      c: [Buffer.of(0x30), s(5)],
    })
  })

  it('have subsections within subsections', () => {
    const inner = subsection('x/y/z', 2, [3])
    const body = join([1], subsection('x/y', 1, [2], inner))
    const z = { vmsd_name: 'x/y/z', version: 2, fields: [integer('c', 'uint8', 1)] }
    const y = { vmsd_name: 'x/y', version: 1, fields: [integer('b', 'uint8', 1)], subsections: [z] }
    expect(decoded(body, [integer('a', 'uint8', 1)], [y])?.subsections).toMatchObject([
      {
        name: 'x/y',
        fields: { b: 2 },
        subsections: [{ name: 'x/y/z', version: 2, fields: { c: 3 } }],
      },
    ])
  })

  it('may have fields with names of what objects inherit', () => {
    const names = ['__proto__', 'constructor', 'toString', 'hasOwnProperty']
    const fields = names.map((name) => integer(name, 'uint8', 1))
    const found = decoded(Buffer.of(1, 2, 3, 4), fields)?.fields ?? {}
    expect(Object.entries(found)).toEqual(names.map((name, index) => [name, index + 1]))
    expect(({} as Record<string, unknown>)['a']).toBeUndefined()
    expect(decoded(Buffer.alloc(0), [])?.fields).not.toHaveProperty('toString')
  })
})

describe('a running guest', () => {
  it('may send more part sections than are listed', () => {
    const count = LISTED_LIMIT + 10
    const parts = Buffer.concat(Array.from({ length: count }, () => part(RAM_ID, EOS)))
    const stream = read(join(before, ramStart, htabStart, parts, ramEnd, htabEnd, tail))
    expect(stream.partSections).toBe(count)
    expect(stream.sections.filter(({ type }) => type === 'part')).toHaveLength(LISTED_LIMIT)
    expect(stream.sections.at(-1)?.name).toBe('spapr')
  })
})
