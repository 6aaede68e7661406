import { describe, expect, it } from 'vitest'
import { readQemuStream } from '../../../lib/vmstate/index.ts'
import {
  BLOCK_BYTES,
  capabilities,
  command,
  configuration,
  describedSpapr,
  describedTimer,
  description,
  end,
  endMark,
  EOS,
  front,
  full,
  GUEST_TIMEBASE,
  header,
  htabEnd,
  htabStart,
  join,
  ordinary,
  part,
  RAM_ID,
  ramEnd,
  ramPart,
  ramStart,
  record,
  spapr,
  start,
  tb,
  text,
  timer,
  u32,
  u64,
} from './build.ts'
import { chunked } from './expected.ts'
import { read } from './read.ts'

const devices = join(timer, spapr, endMark)
const described = description([describedTimer, describedSpapr])
const tail = join(devices, described)
const before = join(header, configuration('pseries-11.1'))

describe('a postcopy migration of QEMU 10.1 and later', () => {
  const contents = join(command(4), timer, spapr, command(5))
  const packaged = join(command(7, u32(contents.length)), contents)
  const opening = join(before, command(3, Buffer.alloc(16, 1)), ramStart, htabStart, ramPart)

  it('ends its sections a second time', () => {
    const stream = join(opening, htabEnd, packaged, ramPart, ramEnd, htabEnd, ramEnd, endMark)
    const { timebase, sections } = read(stream, true)
    expect(timebase.offset).toBe(stream.indexOf(tb))
    expect(sections.filter(({ type }) => type === 'end').map(({ name }) => name)).toEqual([
      'spapr/htab',
      'ram',
      'spapr/htab',
      'ram',
    ])
  })

  it.each([
    ['a part after an end', join(opening, htabEnd, packaged, ramEnd, ramPart, endMark)],
    ['a second start', join(opening, htabEnd, packaged, ramStart, ramEnd, endMark)],
    ['a package in a package', join(opening, command(7, u32(packaged.length)), packaged, endMark)],
  ])('repeats nothing else: %s', (_, stream) => {
    expect(() => read(stream, true)).toThrow(/ERR_|has ended before|another has|package/)
  })

  it('may have packages without devices, with an end mark or without', () => {
    for (const empty of [command(2, u32(1)), join(command(2, u32(1)), endMark, [1, 2, 3])]) {
      const other = join(command(7, u32(empty.length)), empty)
      const stream = join(opening, htabEnd, other, packaged, ramEnd, endMark)
      expect(read(stream, true).timebase.offset).toBe(stream.indexOf(tb))
    }
  })

  it('has a POSTCOPY_ADVISE of 0 or 16 bytes', () => {
    expect(read(join(before, command(3), tail)).timebase.guestTimebase).toBe(GUEST_TIMEBASE)
    expect(() => read(join(before, command(3, u32(1)), tail))).toThrow('has 4 bytes of data, not 0')
  })
})

describe('page sizes in the list of RAM blocks', () => {
  const advise = command(3, Buffer.alloc(16, 1))
  const huge = 0x20_0000n
  const block = (name: string, ...rest: Buffer[]) => join(text(name), u64(0x10000n), ...rest)
  const withList = (opening: Buffer, ...blocks: Buffer[]) =>
    join(
      opening,
      start(RAM_ID, 'ram', 4, record(4, 0x10000 * blocks.length, ...blocks), EOS),
      ramEnd,
      tail,
    )
  const shared = join(header, configuration('pseries-11.1', capabilities('x-ignore-shared')))
  const size = u64(huge)

  it.each([
    ['on none', [block('a'), block('b')], [undefined, undefined]],
    ['on the first', [block('a', size), block('b')], [huge, undefined]],
    ['on the last', [block('a'), block('b', size)], [undefined, huge]],
    ['on both', [block('a', size), block('b', size)], [huge, huge]],
  ])('are read after POSTCOPY_ADVISE: %s', (_, blocks, sizes) => {
    const { ramBlocks } = read(withList(join(before, advise), ...blocks))
    expect(ramBlocks.map(({ pageSize }) => pageSize)).toEqual(sizes)
  })

  it.each([0n, 0x1000n, 0x4000_0000n])('come before an address: %d', (address) => {
    const at = u64(address)
    for (const [first, last] of [
      [undefined, undefined],
      [huge, undefined],
      [undefined, huge],
      [huge, huge],
    ]) {
      const of = (pageSize?: bigint) => (pageSize === undefined ? at : join(u64(pageSize), at))
      const list = [block('a', of(first)), block('b', of(last))]
      const { ramBlocks } = read(withList(join(shared, advise), ...list))
      expect(ramBlocks).toMatchObject([{ guestAddress: address }, { guestAddress: address }])
      expect(ramBlocks.map(({ pageSize }) => pageSize)).toEqual([first, last])
    }
  })

  it('are not expected without POSTCOPY_ADVISE of RAM', () => {
    for (const opening of [before, join(before, command(3))]) {
      expect(() => read(withList(opening, block('a', size), block('b')))).toThrow(
        'No text where the name of a RAM block',
      )
    }
  })

  it.each([0x800n, 0x3000n, 0n])('are powers of two from 4096 on, not %d', (wrong) => {
    expect(() => read(withList(join(before, advise), block('a', u64(wrong)), block('b')))).toThrow(
      `The RAM block a has pages of ${wrong} bytes`,
    )
  })
})

describe('a stream with mapped-ram that began later in its file', () => {
  const opening = join(header, configuration('pseries-11.1', capabilities('mapped-ram')))
  const MIB = 1 << 20

  /** Two blocks, with positions that are higher by what `shifts` say. */
  function mapped(...shifts: readonly number[]): Buffer {
    let stream = join(
      opening,
      start(RAM_ID, 'ram', 4, record(4, shifts.length * BLOCK_BYTES)).subarray(0, -5),
    )
    for (const [index, shift] of shifts.entries()) {
      const named = join(stream, text(`block${index}`), u64(BigInt(BLOCK_BYTES)))
      const bitmap = named.length + 28 + shift
      const pages = Math.ceil((bitmap + 8) / MIB) * MIB
      stream = join(
        named,
        join(u32(1), u64(4096n), u64(BigInt(bitmap)), u64(BigInt(pages))),
        Buffer.alloc(pages - bitmap + BLOCK_BYTES, 0x5a),
      )
    }
    return join(stream, EOS, [0x7e], u32(RAM_ID), ramEnd, tail)
  }

  it.each([0, 1, 0x2000, MIB - 200, MIB, 5 * MIB + 7])('is read: by %d bytes', (shift) => {
    const stream = mapped(shift, shift)
    const { timebase } = read(stream)
    expect(timebase).toMatchObject({ guestTimebase: GUEST_TIMEBASE, offset: stream.indexOf(tb) })
  })

  it.each([
    ['if the blocks do not agree', mapped(0x2000, 0x2001)],
    ['if it would begin before its file', mapped(-8)],
  ])('is refused %s', (_, stream) => {
    expect(() => read(stream)).toThrow('they must be at')
  })
})

describe('bytes behind the description', () => {
  const noise = (length: number) => Buffer.alloc(length, 'old {"x": 1} ')

  it.each([
    ['one', Buffer.of(0)],
    ['a cluster of zeros', Buffer.alloc(65_536)],
    ['text', noise(999)],
    ['another stream', ordinary],
    ['half of another stream', ordinary.subarray(ordinary.length / 2)],
    ['what looks like a description', join([0, 6], u32(2), Buffer.from('{}'), [0])],
  ])('are counted and not read: %s', async (_, behind) => {
    const stream = join(ordinary, behind)
    const expected = { ...read(ordinary), trailingBytes: behind.length }
    expect(read(stream)).toEqual(expected)
    expect(await readQemuStream(stream)).toEqual(expected)
    expect(await readQemuStream(chunkedSource(stream, 1013))).toEqual(expected)
  })

  it('may be more than is held, and are counted in a file and in memory', async () => {
    const stream = join(ordinary, Buffer.alloc(70 * 1024 * 1024))
    const { trailingBytes, timebase } = await readQemuStream(stream)
    expect({ trailingBytes, timebase }).toEqual({
      trailingBytes: stream.length - ordinary.length,
      timebase: read(ordinary).timebase,
    })
  }, 60_000)

  it('may follow a stream without a description', () => {
    const contents = join(timer, spapr)
    const packaged = join(command(7, u32(contents.length)), contents)
    const stream = join(before, ramStart, packaged, ramEnd, endMark)
    expect(read(join(stream, noise(500)), true)).toMatchObject({ trailingBytes: 500 })
  })

  it('do not let a device choose between two descriptions', () => {
    // The guest's NVRAM holds an end of its own: what is in front of it, described as the device.
    const inner = join(
      Buffer.alloc(8),
      [0x7e],
      u32(9),
      full(21, 'spapr', 3, u64(1n), u64(2n)),
      endMark,
    )
    const nvramOf = (size: number) => ({
      name: 'nvram',
      instance_id: 0,
      version: 1,
      fields: [{ name: 'buf', type: 'buffer', size }],
    })
    const bare = { ...describedSpapr, subsections: [] }
    const contents = join(inner, description([describedTimer, nvramOf(8), bare]))
    const stream = join(
      front,
      timer,
      full(9, 'nvram', 1, contents),
      spapr,
      endMark,
      description([describedTimer, nvramOf(contents.length), describedSpapr]),
    )
    expect(read(stream).timebase.guestTimebase).toBe(GUEST_TIMEBASE)
    expect(() => read(join(stream, Buffer.alloc(512)))).toThrow('fits the devices, and so does')
  })

  it('do not hide why the description does not fit', () => {
    const wrong = description([describedTimer, { ...describedSpapr, version: 2 }])
    expect(() => read(join(front, devices, wrong, Buffer.alloc(512)))).toThrow(
      /something looks like one, but: The description has the device spapr/,
    )
  })
})

describe('dirty bitmaps', () => {
  const name = (flags: number) => join([flags], text('disk0'), text('bitmap0'))
  const ID = 7
  const startOf = (...chunks: Buffer[]) => start(ID, 'dirty-bitmap', 1, ...chunks)
  const eos = Buffer.of(0x01)
  const stream = (...sections: Buffer[]) => join(before, ramStart, htabStart, ...sections, tail)

  it('may be none', () => {
    const none = stream(startOf(eos), part(ID, eos), ramEnd, end(ID, eos))
    expect(read(none).timebase.guestTimebase).toBe(GUEST_TIMEBASE)
  })

  it('are passed over', () => {
    const bitmap = stream(
      startOf(name(0x1c), u32(65536), Buffer.of(0x03), eos),
      ramEnd,
      part(ID, name(0x4c), u64(0n), u32(2048), u64(32n), Buffer.alloc(32, 0xff), eos),
      part(ID, Buffer.of(0x42), u64(2048n), u32(2048), eos),
      end(ID, Buffer.of(0x20), eos),
    )
    expect(read(bitmap).sections.map(({ name, type }) => `${name} ${type}`)).toEqual([
      'ram start',
      'spapr/htab start',
      'dirty-bitmap start',
      'ram end',
      'dirty-bitmap part',
      'dirty-bitmap part',
      'dirty-bitmap end',
      'timer full',
      'spapr full',
    ])
  })

  it.each([
    ['flags of more than a byte', Buffer.of(0x80), 'ERR_VMSTATE_UNSUPPORTED'],
    ['a disk without a name', Buffer.of(0x08, 0), 'ERR_VMSTATE_FORMAT'],
    ['reserved flags', join(name(0x1c), u32(65536), [0x08]), 'ERR_VMSTATE_FORMAT'],
    ['too many bits', join([0x40], u64(0n), u32(1), u64(10_241n)), 'ERR_VMSTATE_FORMAT'],
  ])('are refused with %s', (_, chunk, code) => {
    expect(() => read(stream(startOf(chunk, eos)))).toThrow(expect.objectContaining({ code }))
  })
})

function chunkedSource(bytes: Buffer, size: number) {
  return (async function* () {
    for (const chunk of chunked(bytes, size)) {
      await Promise.resolve()
      yield chunk
    }
  })()
}
