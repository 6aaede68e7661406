import { describe, expect, it } from 'vitest'
import { VmstateError } from '../../lib/errors.ts'
import * as v from '../../lib/vmstate/index.ts'
import { caught } from '../support/caught.ts'

function bytes(hex: string): Uint8Array {
  return Buffer.from(hex.replaceAll(' ', ''), 'hex')
}

function ascii(text: string): string {
  return Buffer.from(text, 'latin1').toString('hex')
}

function hex(of: Uint8Array): string {
  return Buffer.from(of).toString('hex')
}

/** A description of these fields alone. */
function of<const F extends v.Fields>(fields: F) {
  return v.vmstate({ name: 'dev', versionId: 3, minimumVersionId: 1, fields })
}

function refused(call: () => unknown): Pick<VmstateError, 'code' | 'message' | 'offset'> {
  const { code, message, offset } = caught(VmstateError, call)
  return { code, message, ...(offset === undefined ? {} : { offset }) }
}

describe('every integer', () => {
  it.each([
    ['uint8', v.uint8, 'fe', 254],
    ['uint16', v.uint16, 'fffe', 65_534],
    ['uint32', v.uint32, 'fffffffe', 4_294_967_294],
    ['uint64', v.uint64, 'fffffffffffffffe', 18_446_744_073_709_551_614n],
    ['int8', v.int8, 'fe', -2],
    ['int16', v.int16, 'fffe', -2],
    ['int32', v.int32, 'fffffffe', -2],
    ['int64', v.int64, 'fffffffffffffffe', -2n],
  ] as const)('is big-endian and as wide as its name says: %s', (_name, kind, wire, value) => {
    expect(v.decode(of({ a: kind }), bytes(wire))).toStrictEqual({ a: value })
    expect(hex(v.encode(of({ a: kind }), { a: value }))).toBe(wire)
  })
})

describe('bool', () => {
  const flag = of({ on: v.bool })

  it('is one byte', () => {
    expect(v.decode(flag, bytes('01'))).toStrictEqual({ on: true })
    expect(hex(v.encode(flag, { on: false }))).toBe('00')
  })

  it('is nothing but 0 or 1', () => {
    expect(refused(() => v.decode(flag, bytes('02')))).toStrictEqual({
      code: 'ERR_VMSTATE_FORMAT',
      message: 'dev.on must be 0 or 1, not 2 (at byte 0, 0x0)',
      offset: 0,
    })
  })
})

describe('a field that must be equal', () => {
  const clock = of({ name: v.uint8, hz: v.equal(v.uint32) })
  const wire = bytes('07 1e848000')

  it('is read if the destination has the same', () => {
    expect(v.decode(clock, wire, { destination: { hz: 512_000_000 } })).toStrictEqual({
      name: 7,
      hz: 512_000_000,
    })
  })

  it('is refused with both values if it has another', () => {
    expect(refused(() => v.decode(clock, wire, { destination: { hz: 500 } }))).toStrictEqual({
      code: 'ERR_VMSTATE_MISMATCH',
      message:
        'dev.hz must be equal: it is 512000000 here, and 500 at the destination (at byte 1, 0x1)',
      offset: 1,
    })
  })

  it('of a struct in an array is compared with that of the same element', () => {
    const list = of({ all: v.array(v.struct(clock), 2) })
    const two = bytes('07 00000001 08 00000002')
    const all = [
      { name: 7, hz: 1 },
      { name: 8, hz: 2 },
    ]
    expect(v.decode(list, two, { destination: { all: [{ hz: 1 }, { hz: 2 }] } })).toStrictEqual({
      all,
    })
    expect(
      refused(() => v.decode(list, two, { destination: { all: [{ hz: 1 }, { hz: 1 }] } })).message,
    ).toMatch(/^dev\.all\[1\]\.hz must be equal: it is 2 here, and 1 at the destination/)
    expect(
      refused(() => v.decode(list, two, { destination: { all: [{ hz: 1 }] } })).message,
    ).toMatch(/^dev\.all\[1\]\.hz is 2 here, and options\.destination has nothing/)
    expect(() => v.decode(list, two, { destination: { all: [{ hz: '1' }] } as never })).toThrow(
      "options.destination.all[0].hz must be a number, not '1'",
    )
  })

  it('is compared with nothing only if the caller says so', () => {
    expect(v.decode(clock, wire, { destination: 'unknown' }).hz).toBe(512_000_000)
    // @ts-expect-error nothing to compare with
    expect(refused(() => v.decode(clock, wire))).toStrictEqual({
      code: 'ERR_VMSTATE_MISSING',
      message:
        'dev.hz is 512000000 here, and options.destination has nothing to compare it with (at byte 1, 0x1)',
      offset: 1,
    })
    // @ts-expect-error a number is compared with a number
    expect(() => v.decode(clock, wire, { destination: { hz: 1n } })).toThrow(TypeError)
  })
})

describe('an array', () => {
  const table = of({ n: v.int32, entries: v.array(v.uint16, 'n'), pair: v.array(v.uint8, 2) })

  it('has as many elements as its description, or an earlier field, says', () => {
    const state = { n: 3, entries: [1, 2, 3], pair: [4, 5] }
    const wire = '00000003 0001 0002 0003 04 05'.replaceAll(' ', '')
    expect(hex(v.encode(table, state))).toBe(wire)
    expect(v.decode(table, bytes(wire))).toStrictEqual(state)
  })

  it('is not made for a count that lies', () => {
    expect(refused(() => v.decode(table, bytes('7fffffff 0001 0002')))).toStrictEqual({
      code: 'ERR_VMSTATE_TRUNCATED',
      message: 'dev.entries needs 4294967294 bytes, and 4 are left (at byte 4, 0x4)',
      offset: 4,
    })
  })

  it('cannot have fewer than no elements', () => {
    expect(refused(() => v.decode(table, bytes('ffffffff 0000')))).toMatchObject({
      code: 'ERR_VMSTATE_FORMAT',
      message: expect.stringContaining('dev.entries cannot have -1 elements, as n says') as string,
    })
  })

  it('is not of elements that cost nothing to count', () => {
    const empty = of({ maybe: v.since(2, v.uint8) })
    expect(() => v.array(v.struct(empty), 'n')).toThrow(TypeError)
    expect(() => v.array(v.buffer(0), 'n')).toThrow(TypeError)
    expect(() => v.array(v.array(v.uint8, 'm'), 'n')).toThrow(TypeError)
  })

  it('must be as long as its count when it is written', () => {
    expect(() => v.encode(table, { n: 2, entries: [1], pair: [0, 0] })).toThrow(
      "dev.entries must be 2 elements long, not '1 elements'",
    )
    expect(() => v.encode(table, { n: 0, entries: [], pair: [0] })).toThrow(RangeError)
    expect(() => v.encode(table, { n: 0, entries: [1], pair: [0, 0] })).toThrow(RangeError)
  })

  it('says which element is wrong', () => {
    const flags = of({ rows: v.array(v.array(v.bool, 2), 2) })
    expect(refused(() => v.decode(flags, bytes('00 01 01 09'))).message).toMatch(
      /^dev\.rows\[1\]\[1\] must be 0 or 1, not 9/,
    )
    expect(() => v.encode(table, { n: 2, entries: [1, 65_536], pair: [0, 0] })).toThrow(
      'dev.entries[1] must be an integer from 0 to 65535, not 65536',
    )
  })

  it('has no holes', () => {
    // eslint-disable-next-line no-sparse-arrays
    expect(() => v.encode(table, { n: 2, entries: [1, ,] as number[], pair: [0, 0] })).toThrow(
      TypeError,
    )
  })
})

describe('a buffer', () => {
  const blob = of({ n: v.uint32, data: v.buffer('n'), id: v.buffer(2) })

  it('is a copy of its bytes', () => {
    const wire = bytes('00000001 aa bbcc')
    const state = v.decode(blob, wire)
    expect(state).toStrictEqual({
      n: 1,
      data: Uint8Array.of(0xaa),
      id: Uint8Array.of(0xbb, 0xcc),
    })
    wire.fill(0)
    expect(state.data).toStrictEqual(Uint8Array.of(0xaa))
    expect(hex(v.encode(blob, state))).toBe('00000001aabbcc')
  })

  it('may be long', () => {
    const data = new Uint8Array(100_000).map((_, index) => index)
    const state = { n: data.length, data, id: new Uint8Array(2) }
    expect(Buffer.compare(v.decode(blob, v.encode(blob, state)).data, data)).toBe(0)
  })

  it('is not made for a length that lies', () => {
    expect(refused(() => v.decode(blob, bytes('ffffffff aabbcc')))).toMatchObject({
      code: 'ERR_VMSTATE_TRUNCATED',
      offset: 4,
    })
  })

  it('must be as long as its count when it is written', () => {
    expect(() => v.encode(blob, { n: 2, data: Uint8Array.of(1), id: new Uint8Array(2) })).toThrow(
      'dev.data must be 2 bytes long',
    )
  })

  it('is as long as it is, whatever a property of its own says', () => {
    const data = Object.defineProperty(Uint8Array.of(1, 2), 'byteLength', { value: 1 })
    const id = new Uint8Array(2)
    expect(hex(v.encode(blob, { n: 2, data, id }))).toBe('0000000201020000')
    expect(() => v.encode(blob, { n: 1, data, id })).toThrow('dev.data must be 1 bytes long')
  })

  it('has the count that was written, though a getter gives another then', () => {
    let turn = 0
    const state = { n: 0, data: Uint8Array.of(1), id: new Uint8Array(2) }
    Object.defineProperty(state, 'n', { get: () => ++turn })
    expect(hex(v.encode(blob, state))).toBe('00000001010000')
  })
})

describe('unused bytes', () => {
  const padded = of({ a: v.uint8, pad: v.unused(3), b: v.uint8 })

  it('are zeros when written, anything when read, and no part of the state', () => {
    expect(hex(v.encode(padded, { a: 1, b: 2 }))).toBe('0100000002')
    expect(v.decode(padded, bytes('01 ffffff 02'))).toStrictEqual({ a: 1, b: 2 })
  })
})

describe('a version', () => {
  const grown = of({ a: v.uint8, b: v.since(2, v.uint8), c: v.since(3, v.uint8) })

  it('decides which fields there are', () => {
    expect(v.decode(grown, bytes('01'), { versionId: 1 })).toStrictEqual({ a: 1 })
    expect(v.decode(grown, bytes('01 02'), { versionId: 2 })).toStrictEqual({ a: 1, b: 2 })
    expect(v.decode(grown, bytes('01 02 03'))).toStrictEqual({ a: 1, b: 2, c: 3 })
    expect(hex(v.encode(grown, { a: 1, b: 2, c: 3 }, { versionId: 2 }))).toBe('0102')
  })

  it('that is newer or older than the description is refused by name', () => {
    expect(refused(() => v.decode(grown, bytes('01'), { versionId: 4 }))).toStrictEqual({
      code: 'ERR_VMSTATE_VERSION',
      message: 'dev has version 4, and this description reads versions 1 to 3 (at byte 0, 0x0)',
      offset: 0,
    })
    expect(refused(() => v.decode(grown, bytes('01'), { versionId: 0 })).code).toBe(
      'ERR_VMSTATE_VERSION',
    )
    expect(() => v.encode(grown, { a: 1 }, { versionId: 4 })).toThrow(
      'options.versionId must be from 1 to 3, not 4',
    )
  })

  it('needs the fields that it brought when it is written', () => {
    expect(refused(() => v.encode(grown, { a: 1, b: 2 }))).toStrictEqual({
      code: 'ERR_VMSTATE_MISSING',
      message: 'dev.c must be written, and is missing',
    })
  })

  it('below the minimum goes the older way, if there is one', () => {
    const old = v.vmstate({
      name: 'dev',
      versionId: 3,
      minimumVersionId: 2,
      minimumVersionIdOld: 1,
      fields: { a: v.uint64 },
      loadStateOld: (reader, versionId) => ({ a: BigInt(reader.uint16() + versionId) }),
    })
    expect(v.decode(old, bytes('0005'), { versionId: 1 })).toStrictEqual({ a: 6n })
    expect(refused(() => v.decode(old, bytes('00'), { versionId: 1 }))).toMatchObject({
      code: 'ERR_VMSTATE_TRUNCATED',
    })
    expect(refused(() => v.decode(old, bytes('000500'), { versionId: 1 }))).toMatchObject({
      code: 'ERR_VMSTATE_FORMAT',
      offset: 2,
    })
    expect(refused(() => v.decode(old, bytes('0005'), { versionId: 0 })).message).toMatch(
      /reads versions 1 to 3/,
    )
    expect(() => v.encode(old, { a: 1n }, { versionId: 1 })).toThrow(RangeError)
  })
})

describe('a condition', () => {
  const either = of({
    wide: v.bool,
    small: v.when(({ wide }) => wide === false, v.uint8),
    large: v.when(({ wide }) => wide === true, v.uint64),
  })

  it('decides by the fields before it', () => {
    expect(v.decode(either, bytes('00 07'))).toStrictEqual({ wide: false, small: 7 })
    expect(hex(v.encode(either, { wide: true, large: 7n, small: 1 }))).toBe('010000000000000007')
  })

  it('sees no later field, on either end', () => {
    const seen: unknown[] = []
    const peeking = of({
      a: v.uint8,
      b: v.when((earlier, versionId) => seen.push({ ...earlier, versionId }) > 0, v.uint8),
      c: v.uint8,
    })
    v.decode(peeking, v.encode(peeking, { a: 1, b: 2, c: 3 }))
    expect(seen).toStrictEqual([
      { a: 1, versionId: 3 },
      { a: 1, versionId: 3 },
    ])
  })

  it('may be that of a count', () => {
    const counted = of({ n: v.since(2, v.uint8), list: v.array(v.uint8, 'n') })
    expect(v.decode(counted, bytes('01 05'))).toStrictEqual({ n: 1, list: [5] })
    expect(refused(() => v.decode(counted, bytes('05'), { versionId: 1 })).message).toMatch(
      /dev\.list has as many elements as n says, which is not there/,
    )
    expect(refused(() => v.encode(counted, { list: [] }, { versionId: 1 })).code).toBe(
      'ERR_VMSTATE_MISSING',
    )
  })
})

describe('a struct', () => {
  const inner = v.vmstate({
    name: 'inner',
    versionId: 2,
    minimumVersionId: 1,
    fields: { x: v.uint8, y: v.since(2, v.uint8) },
  })

  it('stands in place, at its own newest version', () => {
    const outer = of({ a: v.uint8, in: v.struct(inner), z: v.uint8 })
    const state = { a: 1, in: { x: 2, y: 3 }, z: 4 }
    expect(hex(v.encode(outer, state, { versionId: 1 }))).toBe('01020304')
    expect(v.decode(outer, bytes('01020304'), { versionId: 1 })).toStrictEqual(state)
  })

  it('can be held to an older version', () => {
    const outer = of({ in: v.struct(inner, 1), z: v.uint8 })
    expect(v.decode(outer, bytes('0204'))).toStrictEqual({ in: { x: 2 }, z: 4 })
    expect(() => v.struct(inner, 3)).toThrow(TypeError)
  })

  it('can be an element', () => {
    const list = of({ n: v.uint8, all: v.array(v.struct(inner), 'n') })
    expect(v.decode(list, bytes('02 0102 0304'))).toStrictEqual({
      n: 2,
      all: [
        { x: 1, y: 2 },
        { x: 3, y: 4 },
      ],
    })
    expect(refused(() => v.decode(list, bytes('03 0102 0304'))).message).toBe(
      'dev.all[2].x needs 1 bytes, and 0 are left (at byte 5, 0x5)',
    )
    expect(refused(() => v.decode(list, bytes('05 0102 0304'))).message).toMatch(
      /^dev\.all needs 5/,
    )
  })

  it('leaves a subsection of the outer description to it', () => {
    const outer = v.vmstate({
      name: 'outer',
      versionId: 1,
      minimumVersionId: 1,
      fields: { in: v.struct(inner) },
      subsections: {
        more: v.vmstate({
          name: 'outer/more',
          versionId: 1,
          minimumVersionId: 1,
          fields: { m: v.uint8 },
        }),
      },
    })
    const state = { in: { x: 1, y: 2 }, more: { m: 3 } }
    expect(v.decode(outer, v.encode(outer, state))).toStrictEqual(state)
  })
})

describe('a pointer to a struct', () => {
  const inner = v.vmstate({
    name: 'inner',
    versionId: 1,
    minimumVersionId: 1,
    fields: { x: v.uint8 },
  })
  const outer = of({
    there: v.bool,
    to: v.when(({ there }) => there === true, v.structPointer(inner)),
  })

  it('stands in place like a struct, or is not there at all', () => {
    expect(hex(v.encode(outer, { there: true, to: { x: 9 } }))).toBe('0109')
    expect(hex(v.encode(outer, { there: false }))).toBe('00')
    expect(v.decode(outer, bytes('00'), { destination: {} })).toStrictEqual({ there: false })
  })

  it('is loaded only into what the destination has', () => {
    const wire = bytes('0109')
    const state = { there: true, to: { x: 9 } }
    expect(v.decode(outer, wire, { destination: { to: {} } })).toStrictEqual(state)
    expect(v.decode(outer, wire, { destination: 'unknown' })).toStrictEqual(state)
    expect(refused(() => v.decode(outer, wire, { destination: {} }))).toStrictEqual({
      code: 'ERR_VMSTATE_MISSING',
      message: 'dev.to is here, and the destination has none to load it into (at byte 1, 0x1)',
      offset: 1,
    })
  })

  it('to nothing cannot be written where one must be', () => {
    expect(refused(() => v.encode(outer, { there: true })).message).toBe(
      'dev.to must be written, and is missing',
    )
    const bare = of({ to: v.structPointer(inner) })
    expect(refused(() => v.encode(bare, { to: null } as never)).code).toBe('ERR_VMSTATE_MISSING')
  })
})

describe('preSave and postLoad', () => {
  it('turn the state at hand into the one on the wire and back', () => {
    const seen: string[] = []
    const inner = v.vmstate({
      name: 'dev/inner',
      versionId: 1,
      minimumVersionId: 1,
      fields: { x: v.uint8 },
      preSave: (state) => (seen.push('save inner'), { x: state.x + 1 }),
      postLoad: (state) => (seen.push('load inner'), { x: state.x - 1 }),
    })
    const outer = v.vmstate({
      name: 'dev',
      versionId: 3,
      minimumVersionId: 1,
      fields: { n: v.uint8, list: v.array(v.uint8, 'n') },
      subsections: { inner },
      preSave: (state, versionId) => (
        seen.push(`save ${versionId}`),
        { ...state, n: state.list.length }
      ),
      postLoad: (state, versionId) => (seen.push(`load ${versionId}`), { ...state, n: 0 }),
    })
    const wire = v.encode(outer, { n: 0, list: [7, 8], inner: { x: 1 } }, { versionId: 2 })
    expect(hex(wire)).toBe(`020708 05 09 ${ascii('dev/inner')} 00000001 02`.replaceAll(' ', ''))
    expect(v.decode(outer, wire, { versionId: 2 })).toStrictEqual({
      n: 0,
      list: [7, 8],
      inner: { x: 1 },
    })
    expect(seen).toStrictEqual(['save 2', 'save inner', 'load inner', 'load 2'])
  })

  it('may refuse', () => {
    const never = v.vmstate({
      name: 'dev',
      versionId: 1,
      minimumVersionId: 1,
      fields: { a: v.uint8 },
      postLoad: () => {
        throw new Error('not here')
      },
    })
    expect(() => v.decode(never, bytes('01'))).toThrow('not here')
  })
})

describe('a subsection', () => {
  const deep = v.vmstate({
    name: 'dev/sub/deep',
    versionId: 1,
    minimumVersionId: 1,
    fields: { d: v.uint8 },
  })
  const sub = v.vmstate({
    name: 'dev/sub',
    versionId: 2,
    minimumVersionId: 1,
    fields: { s: v.uint8, t: v.since(2, v.uint8) },
    subsections: { deep },
  })
  const flagged = v.vmstate({
    name: 'dev_flagged',
    versionId: 1,
    minimumVersionId: 1,
    fields: { f: v.uint8 },
    needed: ({ a }) => a === 1,
  })
  const dev = v.vmstate({
    name: 'dev',
    versionId: 1,
    minimumVersionId: 1,
    fields: { a: v.uint8 },
    subsections: { sub, flagged },
  })
  const subWire = `05 07 ${ascii('dev/sub')} 00000002 0203 05 0c ${ascii('dev/sub/deep')} 00000001 04`
  const flaggedWire = `05 0b ${ascii('dev_flagged')} 00000001 05`

  it('has a mark, a name, a version, its fields and its own subsections', () => {
    const state = { a: 0, sub: { s: 2, t: 3, deep: { d: 4 } } }
    expect(hex(v.encode(dev, state))).toBe(`00${subWire}`.replaceAll(' ', ''))
    expect(v.decode(dev, bytes(`00 ${subWire}`))).toStrictEqual(state)
  })

  it('is written where it is needed', () => {
    expect(hex(v.encode(dev, { a: 1, flagged: { f: 5 } }))).toBe(
      `01${flaggedWire}`.replaceAll(' ', ''),
    )
    expect(hex(v.encode(dev, { a: 2, flagged: { f: 5 } }))).toBe('02')
    expect(refused(() => v.encode(dev, { a: 1 })).message).toBe(
      'dev.flagged must be written, and is missing',
    )
  })

  it('may come in any order, and in an older version', () => {
    const older = `05 07 ${ascii('dev/sub')} 00000001 02`
    expect(v.decode(dev, bytes(`00 ${flaggedWire} ${older}`))).toStrictEqual({
      a: 0,
      flagged: { f: 5 },
      sub: { s: 2 },
    })
  })

  it('is refused if it comes twice, or in a newer version', () => {
    expect(refused(() => v.decode(dev, bytes(`00 ${flaggedWire} ${flaggedWire}`)))).toStrictEqual({
      code: 'ERR_VMSTATE_FORMAT',
      message: 'dev.flagged is here a second time (at byte 19, 0x13)',
      offset: 19,
    })
    const newer = `05 07 ${ascii('dev/sub')} 00000003 0203`
    expect(refused(() => v.decode(dev, bytes(`00 ${newer}`)))).toMatchObject({
      code: 'ERR_VMSTATE_VERSION',
      message: expect.stringMatching(/^dev\.sub has version 3/) as string,
    })
  })

  it('that is unknown is refused by its name', () => {
    expect(
      refused(() => v.decode(dev, bytes(`00 05 07 ${ascii('dev/new')} 00000001`))),
    ).toStrictEqual({
      code: 'ERR_VMSTATE_UNSUPPORTED',
      message: "dev has no subsection 'dev/new' (at byte 1, 0x1)",
      offset: 1,
    })
    expect(refused(() => v.decode(dev, bytes(`00 05 03 ${ascii('foo')} 00000001`)))).toMatchObject({
      code: 'ERR_VMSTATE_FORMAT',
      message: expect.stringContaining(
        "9 bytes follow, a subsection 'foo' by the look of it",
      ) as string,
    })
  })

  it('that is cut short is refused wherever it is cut', () => {
    const whole = bytes(`00 ${subWire} ${flaggedWire}`)
    const ends = new Set([1, 1 + bytes(subWire).length, 16])
    for (let length = 0; length < whole.length; length++) {
      if (ends.has(length)) v.decode(dev, whole.subarray(0, length))
      else refused(() => v.decode(dev, whole.subarray(0, length)))
    }
  })
})

describe('bytes', () => {
  const one = of({ a: v.uint32 })

  it('must not end too soon, nor too late', () => {
    expect(refused(() => v.decode(one, bytes('000000')))).toStrictEqual({
      code: 'ERR_VMSTATE_TRUNCATED',
      message: 'dev.a needs 4 bytes, and 3 are left (at byte 0, 0x0)',
      offset: 0,
    })
    expect(refused(() => v.decode(one, bytes('0000000000')))).toStrictEqual({
      code: 'ERR_VMSTATE_FORMAT',
      message: 'dev ends here, and 1 bytes follow (at byte 4, 0x4)',
      offset: 4,
    })
  })

  it('may be a part of a larger buffer', () => {
    expect(v.decode(one, bytes('ff 00000005 ff').subarray(1, 5))).toStrictEqual({ a: 5 })
  })

  it.each([undefined, null, 'ff', [0, 0, 0, 5], new ArrayBuffer(4), new Uint16Array(2)])(
    'are a Uint8Array, not %s',
    (given) => {
      expect(() => v.decode(one, given as never)).toThrow(TypeError)
    },
  )
})

describe('arguments', () => {
  const one = of({ a: v.uint32 })

  it('are checked', () => {
    expect(() => v.decode({ ...one }, bytes('00'))).toThrow('made by vmstate()')
    expect(() => v.encode({ ...one }, { a: 1 })).toThrow('made by vmstate()')
    expect(() => v.decode(one, bytes('00'), { versionId: 1.5 })).toThrow(RangeError)
    expect(() => v.decode(one, bytes('00'), { version: 1 } as never)).toThrow(TypeError)
    expect(() => v.encode(one, { a: 1 }, { version: 1 } as never)).toThrow(TypeError)
    expect(() => v.encode(one, { a: 1 }, { versionId: '1' as never })).toThrow(TypeError)
    for (const state of [undefined, null, 5, [1]]) {
      expect(() => v.encode(one, state as never)).toThrow(TypeError)
    }
  })

  it.each<[string, unknown, ErrorConstructor]>([
    ['a number where a bigint belongs', { a: 5, b: 0, c: false, d: 0n, e: [] }, TypeError],
    ['a bigint where a number belongs', { a: 5n, b: 0n, c: false, d: 0n, e: [] }, TypeError],
    ['a number for a boolean', { a: 5n, b: 0, c: 1, d: 0n, e: [] }, TypeError],
    ['an object for an array', { a: 5n, b: 0, c: true, d: 0n, e: {} }, TypeError],
    ['a missing field', { a: 5n, c: true, d: 0n, e: [] }, TypeError],
    ['2^64', { a: 1n << 64n, b: 0, c: true, d: 0n, e: [] }, RangeError],
    ['128 in 8 signed bits', { a: 5n, b: 128, c: true, d: 0n, e: [] }, RangeError],
    ['a fraction', { a: 5n, b: 0.5, c: true, d: 0n, e: [] }, RangeError],
    ['2^63 in 64 signed bits', { a: 5n, b: 0, c: true, d: 1n << 63n, e: [] }, RangeError],
  ])('of a state are not %s', (_what, state, type) => {
    const all = of({ a: v.uint64, b: v.int8, c: v.bool, d: v.int64, e: v.array(v.uint8, 0) })
    expect(() => v.encode(all, state as never)).toThrow(type)
    expect(() => v.encode(all, state as never)).toThrow(/^dev\.[a-e] must be /)
  })
})

describe('a description is refused', () => {
  const good = { name: 'dev', versionId: 2, minimumVersionId: 1, fields: { a: v.uint8 } }
  const sub = (name: string) => v.vmstate({ ...good, name })

  it.each<[string, object]>([
    ['without a name', { name: '' }],
    ['with a name of spaces', { name: 'a b' }],
    ['with a name longer than a byte can count', { name: 'x'.repeat(256) }],
    ['with a name that is no string', { name: 5 }],
    ['with versions out of order', { minimumVersionId: 3 }],
    ['with old versions out of order', { minimumVersionIdOld: 2 }],
    ['with an old version and no way to load it', { minimumVersionIdOld: 0 }],
    ['with a misspelt name of its own', { minimumVersionID: 1 }],
    ['with a hook that is no function', { postLoad: true }],
    ['with a fraction of a version', { versionId: 1.5 }],
    ['with a field that JavaScript would move', { fields: { 1: v.uint8 } }],
    [
      'with a field that is no field',
      { fields: JSON.parse('{"__proto__":{"kind":"bool"}}') as object },
    ],
    ['with a number for a kind', { fields: { a: 8 } }],
    ['with a list of fields', { fields: [v.uint8] }],
    ['with a count that comes later', { fields: { l: v.array(v.uint8, 'n'), n: v.uint8 } }],
    ['with a count of 64 bits', { fields: { n: v.uint64, l: v.buffer('n') } }],
    [
      'with an inner count that is not there',
      { fields: { l: v.array(v.array(v.buffer('n'), 0), 1) } },
    ],
    ['with a subsection of another name', { subsections: { s: sub('foo/s') } }],
    ['with a subsection of its own name', { subsections: { s: sub('dev') } }],
    ['with two subsections of one name', { subsections: { s: sub('dev/s'), t: sub('dev/s') } }],
    ['with a subsection and a field of one name', { subsections: { a: sub('dev/a') } }],
    ['with a subsection that is none', { subsections: { s: { ...sub('dev/s') } } }],
  ])('%s', (_what, change) => {
    expect(() => v.vmstate({ ...good, ...change })).toThrow(
      expect.toSatisfy(
        (error) => error instanceof TypeError || error instanceof RangeError,
      ) as Error,
    )
    expect(v.vmstate(good)).toMatchObject(good)
  })

  it('with a kind where it has no place', () => {
    expect(() => v.array(v.equal(v.uint8) as never, 2)).toThrow(TypeError)
    expect(() => v.array(v.uint8, -1)).toThrow(RangeError)
    expect(() => v.equal(v.buffer(2) as never)).toThrow(TypeError)
    expect(() => v.struct({} as never)).toThrow(TypeError)
    expect(() => v.structPointer({} as never)).toThrow(TypeError)
    expect(() => v.when(true as never, v.uint8)).toThrow(TypeError)
    expect(() => v.unused(-1)).toThrow(RangeError)
  })
})
