import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { OneRegError } from '../../lib/errors.ts'
import { SoftwareKernel } from '../../lib/kernel/software/kernel.ts'
import { Host } from '../../lib/kvm/host.ts'
import { saveTimebase } from '../../lib/timebase/save.ts'
import {
  parseTimebase,
  serializeTimebase,
  STATE_TEXT_LIMIT,
  STATE_VCPU_LIMIT,
} from '../../lib/timebase/state.ts'
import { STATE_DEPTH_LIMIT } from '../../lib/state-text.ts'
import type { TimebaseState } from '../../lib/timebase/state.ts'
import { caught } from '../support/caught.ts'
import { cases, isForMutant } from '../support/emulated.ts'

const state: TimebaseState = {
  guestTimebase: 18_446_744_073_709_551_615n,
  timeOfDayNs: -1n,
  timebaseFrequency: 512_000_000n,
  uncertaintyNs: 40n,
  offset: 16_777_216n,
  vcpus: [
    { id: 0, decExpiry: 9_007_199_254_740_993n, vtb: 2n, purr: 3n, spurr: 4n },
    { id: 8, decExpiry: 0n },
    { id: 2_147_483_647 },
  ],
}

/** The same as it stands in a file. */
const text =
  '{"format":"kvm-ppc-onereg/timebase","version":1,' +
  '"guestTimebase":"18446744073709551615","timeOfDayNs":"-1","timebaseFrequency":"512000000",' +
  '"uncertaintyNs":"40","offset":"16777216","vcpus":[' +
  '{"id":0,"decExpiry":"9007199254740993","vtb":"2","purr":"3","spurr":"4"},' +
  '{"id":8,"decExpiry":"0"},{"id":2147483647}]}'

type Json = Record<string, unknown>

/** The text with some of its fields changed; one set to undefined is left out. */
function changed(fields: Json): string {
  return JSON.stringify({ ...(JSON.parse(text) as Json), ...fields })
}

function withVcpu(fields: Json): string {
  return changed({ vcpus: [{ id: 0, decExpiry: '1', ...fields }] })
}

/** Puts a key into a JSON object's text that no object literal can hold. */
function withText(json: string, member: string): string {
  return json.replace('{', `{${member},`)
}

function formatError(given: string): OneRegError {
  const error = caught(OneRegError, () => parseTimebase(given))
  expect(error.code).toBe('ERR_STATE_FORMAT')
  return error
}

const pointFields = [
  'guestTimebase',
  'timeOfDayNs',
  'timebaseFrequency',
  'uncertaintyNs',
  'offset',
] as const
/** Those that a text can do without among them. */
const numberFields = [...pointFields, 'roundingTicks'] as const
const timerFields = ['decExpiry', 'vtb', 'purr', 'spurr'] as const

const u64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n })

const i64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })

const fields = {
  guestTimebase: u64,
  timeOfDayNs: i64,
  roundingTicks: fc.bigInt({ min: -(2n ** 24n), max: 2n ** 40n }),
  timebaseFrequency: fc.bigInt({ min: 1n, max: 2n ** 64n - 1n }),
  uncertaintyNs: u64,
  clock: fc.record({ synchronised: fc.boolean(), maxErrorNs: u64 }),
  offset: u64,
  vcpus: fc.uniqueArray(
    fc.record(
      { id: fc.nat(2 ** 31 - 1), decExpiry: u64, vtb: u64, purr: u64, spurr: u64 },
      { requiredKeys: ['id'] },
    ),
    { selector: ({ id }) => id },
  ),
}

const states: fc.Arbitrary<TimebaseState> = fc.record(fields, {
  requiredKeys: [...pointFields, 'vcpus'],
})

describe('a saved timebase as text', () => {
  it('is written as scripts know it', () => {
    expect(serializeTimebase(state)).toBe(text)
  })

  it('is read as it was written', () => {
    expect(parseTimebase(text)).toStrictEqual(state)
  })

  it('is what JSON.stringify gives, also where it is part of an object', () => {
    using host = new Host(new SoftwareKernel())
    const saved = saveTimebase([host.createVm().createVcpu(0)])
    const text = serializeTimebase(saved)
    for (const each of [saved, parseTimebase(text)]) {
      expect(JSON.stringify(each)).toBe(text)
      expect(JSON.stringify({ guest: each })).toBe(`{"guest":${text}}`)
      expect(Object.keys(each)).not.toContain('toJSON')
    }
  })

  it('has the rounding error of earlier moves where there is one', () => {
    const carried = { ...state, roundingTicks: -8_388_608n }
    const field = '"offset":"16777216","roundingTicks":"-8388608",'
    expect(serializeTimebase(carried)).toBe(text.replace('"offset":"16777216",', field))
    expect(parseTimebase(serializeTimebase(carried))).toStrictEqual(carried)
    expect(parseTimebase(text)).not.toHaveProperty('roundingTicks')
  })

  it('says how right the clock was where that is known', () => {
    const carried = { ...state, clock: { synchronised: true, maxErrorNs: 9_007_199_254_740_993n } }
    const field = '"clock":{"synchronised":true,"maxErrorNs":"9007199254740993"},"vcpus":'
    expect(serializeTimebase(carried)).toBe(text.replace('"vcpus":', field))
    expect(parseTimebase(serializeTimebase(carried))).toStrictEqual(carried)
    expect(parseTimebase(text)).not.toHaveProperty('clock')
  })

  it('goes there and back without loss', { timeout: 60_000 }, () => {
    fc.assert(
      fc.property(states, (given) => {
        expect(parseTimebase(serializeTimebase(given))).toEqual(given)
      }),
      { numRuns: cases(2_000) },
    )
  })

  it('has no number that a script could read wrongly', { timeout: 60_000 }, () => {
    fc.assert(
      fc.property(states, (given) => {
        const numbers: unknown[] = []
        JSON.parse(serializeTimebase(given), (_key, value: unknown) => {
          if (typeof value === 'number') numbers.push(value)
          return value
        })
        const ids = given.vcpus.map(({ id }) => id)
        expect(numbers).toEqual([1, ...ids])
      }),
      { numRuns: cases(500, 1) },
    )
  })

  it('may be laid out by hand, with its fields in another order', () => {
    const reversed = Object.fromEntries(Object.entries(JSON.parse(text) as Json).reverse())
    expect(parseTimebase(` \n${JSON.stringify(reversed, null, 2)}\n`)).toEqual(state)
  })

  it('may have no vCPUs', () => {
    expect(parseTimebase(changed({ vcpus: [] })).vcpus).toEqual([])
  })

  it('has the ends of every range', () => {
    const end = '18446744073709551615'
    expect(
      parseTimebase(
        changed({
          guestTimebase: '0',
          timeOfDayNs: '-9223372036854775808',
          timebaseFrequency: end,
          uncertaintyNs: end,
          offset: end,
          vcpus: [{ id: 0, decExpiry: end, vtb: end, purr: end, spurr: '0' }],
        }),
      ),
    ).toMatchObject({
      timeOfDayNs: -(2n ** 63n),
      offset: 2n ** 64n - 1n,
      vcpus: [{ decExpiry: 2n ** 64n - 1n, spurr: 0n }],
    })
    expect(parseTimebase(changed({ timeOfDayNs: '9223372036854775807' })).timeOfDayNs).toBe(
      2n ** 63n - 1n,
    )
  })
})

describe('parseTimebase refuses', () => {
  it.each([
    ['nothing', ''],
    ['spaces', '  \n'],
    ['half of a text', text.slice(0, 100)],
    ['a text and more', `${text}{}`],
    ['a comma too many', text.replace(/]}$/, '],}')],
    ['a byte order mark', `\ufeff${text}`],
    ['other words', 'kvm-ppc-onereg/timebase'],
  ])('%s, as not JSON', (_what, given) => {
    const error = formatError(given)
    expect(error.message).toMatch(/not JSON/)
    expect(error.cause).toBeInstanceOf(SyntaxError)
  })

  it.each([
    ['null', 'null'],
    ['an array', '[]'],
    ['an array of one', `[${text}]`],
    ['a string', '"kvm-ppc-onereg/timebase"'],
    ['a number', '1'],
    ['true', 'true'],
  ])('%s, as no JSON object', (_what, given) => {
    expect(formatError(given).message).toMatch(/object/)
  })

  it('another of our formats, and says who reads it', () => {
    const { message } = formatError(changed({ format: 'kvm-ppc-onereg/registers' }))
    expect(message).toContain("parseRegisters reads 'kvm-ppc-onereg/registers'")
  })

  it.each([
    ['an empty object', '{}'],
    ['a missing format', changed({ format: undefined })],
    ['another format', changed({ format: 'kvm-ppc-onereg/snapshot' })],
    ['the format in another case', changed({ format: 'KVM-PPC-ONEREG/TIMEBASE' })],
    ['a list for the format', changed({ format: ['kvm-ppc-onereg/timebase'] })],
    ['null for the format', changed({ format: null })],
  ])('%s', (_what, given) => {
    expect(formatError(given).message).toContain(
      'This is not a saved timebase: "format" must be "kvm-ppc-onereg/timebase"',
    )
  })

  it('a newer version, which it names', () => {
    const error = caught(OneRegError, () =>
      parseTimebase(changed({ version: 2, news: 'unknown here' })),
    )
    expect(error.code).toBe('ERR_STATE_VERSION')
    expect(error.message).toMatch(/version 2\b.*version 1\b.*upgrade/)
  })

  it.each<[string, unknown]>([
    ['none', undefined],
    ['null', null],
    ['0', 0],
    ['a text', '1'],
    ['a fraction', 1.5],
    ['a list', [1]],
  ])('a wrong version: %s', (_what, version) => {
    expect(formatError(changed({ version })).message).toMatch(/version/)
  })

  it.each([
    ['arrays', '[', ']'],
    ['objects', '{"a":', '}'],
  ])('%s that are nested without end, wherever they are', (_what, open, close) => {
    for (const depth of [STATE_DEPTH_LIMIT, 100_000]) {
      const deep = `${open.repeat(depth)}0${close.repeat(depth)}`
      for (const given of [
        deep,
        text.replace('"version":1', `"version":${deep}`),
        text.replace('"vcpus":[', `"vcpus":[${deep},`),
        text.replace('"40"', deep),
        text.replace('"40"', `"40","x":${deep}`),
        open.repeat(depth),
      ]) {
        expect(formatError(given).message).toMatch(
          /nested|not JSON|object|"format" must|^The field|has version/,
        )
      }
    }
    expect(formatError(open.repeat(100_000)).message).toMatch(/nested more than 16 levels/)
  })

  it.each([
    ['the text', text.replace('"offset":', '"offset":"5","offset":')],
    ['the text, with the same value', text.replace('"offset":', '"offset":"16777216","offset":')],
    ['the text, written differently', text.replace('"offset":', '"\\u006fffset":"5","offset":')],
    ['the text: its version', text.replace('"version":1', '"version":2,"version":1')],
    ['the text: its vCPUs', text.replace('"vcpus":', '"vcpus":[],"vcpus":')],
    ['a vCPU', text.replace('"decExpiry":"0"', '"decExpiry":"0","decExpiry":"1"')],
    ['a vCPU: its id', text.replace('{"id":8', '{"id":7,"id":8')],
  ])('a field that is there twice in %s', (_what, given) => {
    expect(formatError(given).message).toMatch(/a field twice/)
  })

  it('no colon, brace or quote inside of a string for more than it is', () => {
    for (const odd of ['a:b', '{', '"', '\\', '\\"', '[[[[[[[[[[[[[[[[[[[[']) {
      // Not as nested nor as there twice: as what it is.
      expect(formatError(changed({ offset: odd })).message).toContain('"offset" must be a whole')
    }
  })

  it('a text that is too long, before it is parsed', () => {
    const spaces = ' '.repeat(STATE_TEXT_LIMIT - text.length)
    expect(parseTimebase(text + spaces)).toEqual(state)
    const error = formatError(`${text}${spaces} `)
    expect(error.message).toContain(`more than ${STATE_TEXT_LIMIT} characters`)
    // Of the greatest length that JavaScript has for text, nearly.
    formatError('['.repeat(2 ** 29 - 25))
  })

  it('more vCPUs than there can be, and no fewer', () => {
    const ids = Array.from({ length: STATE_VCPU_LIMIT + 1 }, (_, index) => 2 ** 31 - 1 - index)
    const most = 2n ** 64n - 1n
    const vcpus = ids.map((id) => ({ id, decExpiry: most, vtb: most, purr: most, spurr: most }))
    const full = { ...state, vcpus: vcpus.slice(1) }
    expect(parseTimebase(serializeTimebase(full)).vcpus).toHaveLength(STATE_VCPU_LIMIT)
    const given = changed({ vcpus: ids.map((id) => ({ id })) })
    expect(formatError(given).message).toMatch(/state\.vcpus must be at most 16384 long/)
    for (const length of [vcpus.length, 2 ** 32 - 1]) {
      const error = caught(RangeError, () =>
        serializeTimebase({ ...state, vcpus: new Array(length) }),
      )
      expect(error).toMatchObject({ code: 'ERR_OUT_OF_RANGE' })
    }
  })

  it.each([
    ['an escape sequence', '\u001b[2J'],
    ['a C1 control', '\u009b31m'],
    ['a newline', 'x\nkvm-ppc-onereg: all is well'],
    ['half of a surrogate pair', '\ud800'],
    ['100,000 characters', 'x'.repeat(100_000)],
  ])('a field whose name has %s, in an error that is safe to print', (_what, name) => {
    for (const given of [changed({ [name]: 1 }), withVcpu({ [name]: 1 })]) {
      const { message } = formatError(given)
      // eslint-disable-next-line no-control-regex -- that is what it is about
      expect(message).not.toMatch(/[\u0000-\u001f\u007f-\u009f]|\p{Surrogate}/u)
      expect(message.length).toBeLessThan(200)
    }
  })

  it.each([
    ['toJSON', '"toJSON":"x"'],
    ['valueOf', '"valueOf":{}'],
    ['hasOwnProperty', '"hasOwnProperty":1'],
    ['constructor.prototype', '"constructor":{"prototype":{"polluted":true}}'],
  ])('%s in the text, and no object learns from it', (_what, member) => {
    expect(formatError(withText(text, member)).message).toMatch(/is not known/)
    expect(({} as Json)['polluted']).toBeUndefined()
  })

  it.each(['018446744073709551615', '000000000000000000001', '-00000000000000000001x'])(
    'no number of more digits than 2^64 has: %s',
    (value) => {
      expect(formatError(changed({ guestTimebase: value })).message).toContain('"guestTimebase"')
    },
  )

  it.each([`${2n ** 40n + 1n}`, `${-(2n ** 24n) - 1n}`, `${2n ** 63n - 1n}`, `${-(2n ** 62n)}`])(
    'no rounding error that no load can have left: %s',
    (roundingTicks) => {
      expect(formatError(changed({ roundingTicks })).message).toContain('roundingTicks')
    },
  )

  it.each([2n ** 40n, -(2n ** 24n)])('but a rounding error of %s', (roundingTicks) => {
    expect(parseTimebase(changed({ roundingTicks: `${roundingTicks}` }))).toMatchObject({
      roundingTicks,
    })
  })

  it.each(['1e400', '-1e400', '1e-400', '9'.repeat(1000), '-0.0', '1E0'])(
    'no number for an id but small whole ones: %s',
    (number) => {
      const given = text.replace('{"id":0,', `{"id":${number},`)
      // JSON has several ways to write 0 and 1.
      if (/^(-0\.0|1E0|1e-400)$/.test(number))
        expect([0, 1]).toContain(Math.abs(parseTimebase(given).vcpus[0]?.id ?? -1))
      else expect(formatError(given).message).toContain('vcpus[0].id')
    },
  )

  it.each([...pointFields, 'vcpus'])('a missing %s', (field) => {
    expect(formatError(changed({ [field]: undefined })).message).toContain(`"${field}"`)
  })

  it.each(numberFields)('%s out of range', (field) => {
    const isSigned = field === 'timeOfDayNs' || field === 'roundingTicks'
    for (const value of [
      '18446744073709551616',
      isSigned ? '9223372036854775808' : '-1',
      '-9223372036854775809',
      '99999999999999999999',
    ]) {
      expect(formatError(changed({ [field]: value })).message).toContain(field)
    }
  })

  it.each(timerFields)('%s of a vCPU out of range', (field) => {
    for (const value of ['18446744073709551616', '-1', '99999999999999999999']) {
      expect(formatError(withVcpu({ [field]: value })).message).toContain(`vcpus[0].${field}`)
    }
  })

  it('a frequency of 0', () => {
    expect(formatError(changed({ timebaseFrequency: '0' })).message).toMatch(/timebaseFrequency/)
  })

  const notWholeNumbers: [string, unknown][] = [
    ['a number', 5],
    ['a large number', 9_007_199_254_740_992],
    ['a float', 5.5],
    ['null', null],
    ['true', true],
    ['a list', ['5']],
    ['an object', {}],
    ['an empty string', ''],
    ['a fraction in a string', '5.5'],
    ['a whole fraction in a string', '5.0'],
    ['an exponent', '5e3'],
    ['a plus', '+5'],
    ['a space before', ' 5'],
    ['a space after', '5 '],
    ['a newline after', '5\n'],
    ['two signs', '--5'],
    ['a sign alone', '-'],
    ['hexadecimal', '0x10'],
    ['octal', '0o10'],
    ['a bigint of JavaScript', '5n'],
    ['a separator', '1_000'],
    ['a comma', '1,000'],
    ['infinity', 'Infinity'],
    ["another script's digits", '٥'],
    ['10,000 digits', '5'.repeat(10_000)],
    ['21 digits of a value that has 20', `0${'1'.repeat(20)}`],
    ['10,000 zeros before the number', `${'0'.repeat(10_000)}5`],
  ]

  it.each(notWholeNumbers)('%s where a whole number belongs in a string', (_what, value) => {
    for (const field of numberFields) {
      expect(formatError(changed({ [field]: value })).message).toContain(`"${field}"`)
    }
    for (const field of timerFields) {
      expect(formatError(withVcpu({ [field]: value })).message).toContain(`"vcpus[0].${field}"`)
    }
  })

  it.each<[string, unknown, string]>([
    ['null', null, '"clock" must be an object'],
    ['a list', [], '"clock" must be an object'],
    ['a word', 'synchronised', '"clock" must be an object'],
    ['nothing of an error', { synchronised: true }, '"clock.maxErrorNs" is missing'],
    ['a number for the error', { synchronised: true, maxErrorNs: 5 }, '"clock.maxErrorNs" must be'],
    ['an error below 0', { synchronised: true, maxErrorNs: '-1' }, 'clock.maxErrorNs must be'],
    [
      '2^64',
      { synchronised: true, maxErrorNs: '18446744073709551616' },
      'clock.maxErrorNs must be',
    ],
    ['nothing of whether', { maxErrorNs: '5' }, 'clock.synchronised must be'],
    ['a text for whether', { synchronised: 'true', maxErrorNs: '5' }, 'clock.synchronised must be'],
    ['more', { synchronised: true, maxErrorNs: '5', tick: '1' }, "'clock.tick' is not known"],
  ])('%s for the clock', (_what, clock, message) => {
    expect(formatError(changed({ clock })).message).toContain(message)
  })

  it('10,000 digits without repeating them', () => {
    const error = formatError(changed({ offset: '5'.repeat(10_000) }))
    expect(error.message.length).toBeLessThan(300)
  })

  it.each([
    ['the text', changed({ tbOffset: '1' }), "'tbOffset'"],
    ['the text, in another case', changed({ Offset: '1' }), "'Offset'"],
    ['the text, as every object has', changed({ toString: '1' }), "'toString'"],
    ['a vCPU', withVcpu({ dec: '1' }), "'vcpus[0].dec'"],
    ['a vCPU, as every object has', withVcpu({ constructor: '1' }), "'vcpus[0].constructor'"],
  ])('an unknown field of %s', (_what, given, name) => {
    expect(formatError(given).message).toContain(name)
  })

  it.each([
    ['the text', withText(text, '"__proto__":{"polluted":true}')],
    ['a vCPU', text.replace('{"id":0', '{"__proto__":{"polluted":true},"id":0')],
    [
      'the text, for a missing field',
      withText(changed({ offset: undefined }), '"__proto__":{"offset":"1"}'),
    ],
    ['a vCPU, for a missing id', text.replace('"id":0', '"__proto__":{"id":0}')],
  ])('__proto__ in %s, and no object learns from it', (_what, given) => {
    expect(formatError(given).message).toContain('__proto__')
    expect(({} as Json)['polluted']).toBeUndefined()
    expect(({} as Json)['offset']).toBeUndefined()
  })

  it.each<[string, unknown]>([
    ['null', null],
    ['an object', { 0: { id: 0 } }],
    ['a string', '[]'],
    ['a number', 1],
  ])('%s for vcpus', (_what, vcpus) => {
    expect(formatError(changed({ vcpus })).message).toContain('"vcpus"')
  })

  it.each<[string, unknown]>([
    ['null', null],
    ['a number', 0],
    ['a list', []],
    ['a string', '0'],
  ])('%s for a vCPU', (_what, vcpu) => {
    const error = formatError(changed({ vcpus: [{ id: 0 }, vcpu] }))
    expect(error.message).toContain('vcpus[1]')
  })

  it.each<[string, unknown]>([
    ['none', undefined],
    ['null', null],
    ['a string', '0'],
    ['a negative one', -1],
    ['a fraction', 0.5],
    ['2^31', 2 ** 31],
    ['a list', [0]],
  ])('a wrong id of a vCPU: %s', (_what, id) => {
    expect(formatError(withVcpu({ id })).message).toContain('vcpus[0].id')
  })

  it('a vCPU that is not an object', () => {
    const { message } = formatError(changed({ vcpus: [{ id: 0 }, 5] }))
    expect(message).toMatch(/\bvcpus\[1\] must be an object/)
  })

  it('two vCPUs of one id', () => {
    const error = formatError(changed({ vcpus: [{ id: 1 }, { id: 2 }, { id: 1 }] }))
    expect(error.message).toContain('vcpus[2].id')
  })

  it.each([
    ['nothing', undefined],
    ['null', null],
    ['a number', 1],
    ['an object', JSON.parse(text) as unknown],
    ['bytes', new TextEncoder().encode(text)],
    ['a String object', Object(text) as unknown],
  ])('%s instead of a string, as a TypeError', (_what, given) => {
    const error = caught(TypeError, () => parseTimebase(given as string))
    expect(error).toMatchObject({ code: 'ERR_INVALID_ARG_TYPE' })
  })

  // fast-check takes seconds to make ready for any character, and a mutant has seconds in all.
  it.skipIf(isForMutant)('any text with an error of its own', { timeout: 60_000 }, () => {
    // Texts that are nearly right: one character of a right one is another, or gone.
    const nearly = fc
      .tuple(fc.nat(text.length - 1), fc.oneof(fc.constant(''), fc.string({ maxLength: 1 })))
      .map(([at, character]) => text.slice(0, at) + character + text.slice(at + 1))
    fc.assert(
      fc.property(fc.oneof(nearly, fc.json(), fc.string({ unit: 'binary' })), (given) => {
        try {
          serializeTimebase(parseTimebase(given))
        } catch (error) {
          expect(error).toBeInstanceOf(OneRegError)
          // A changed digit can make it a text of a newer version.
          expect((error as OneRegError).code).toMatch(/^ERR_STATE_(FORMAT|VERSION)$/)
        }
      }),
      { numRuns: cases(5_000, 1 / 50) },
    )
  })
})

it('a vCPU whose id is right only when it is read for the second time is taken with that', () => {
  const ids: unknown[] = ['0', 3]
  const vcpu = {
    get id() {
      return ids.shift()
    },
    decExpiry: 5n,
  }
  const copy = parseTimebase(serializeTimebase({ ...state, vcpus: [vcpu as { id: number }] }))
  expect(copy.vcpus).toEqual([{ id: 3, decExpiry: 5n }])
})

describe('serializeTimebase refuses', () => {
  const withTimers = (fields: Json): unknown => ({ ...state, vcpus: [{ id: 0, ...fields }] })

  it.each<[string, unknown]>([
    ['nothing', undefined],
    ['null', null],
    ['an array', [state]],
    ['a string', text],
    ['an empty object', {}],
    ...pointFields.flatMap((field): [string, unknown][] => [
      [`a number for ${field}`, { ...state, [field]: 5 }],
      [`a string for ${field}`, { ...state, [field]: '5' }],
      [`no ${field}`, { ...state, [field]: undefined }],
      [`null for ${field}`, { ...state, [field]: null }],
    ]),
    ['a number for roundingTicks', { ...state, roundingTicks: 5 }],
    ['null for roundingTicks', { ...state, roundingTicks: null }],
    ...timerFields.flatMap((field): [string, unknown][] => [
      [`a number for a vCPU's ${field}`, withTimers({ [field]: 5 })],
      [`null for a vCPU's ${field}`, withTimers({ [field]: null })],
    ]),
    ['no vcpus', { ...state, vcpus: undefined }],
    ['an object for vcpus', { ...state, vcpus: {} }],
    ['null for a vCPU', { ...state, vcpus: [null] }],
    ['a hole among the vCPUs', { ...state, vcpus: new Array(1) }],
    ['a number for a vCPU', { ...state, vcpus: [0] }],
    ['no id', { ...state, vcpus: [{ decExpiry: 1n }] }],
    ['a bigint for an id', { ...state, vcpus: [{ id: 0n }] }],
  ])('%s, as a TypeError', (_what, given) => {
    const error = caught(TypeError, () => serializeTimebase(given as TimebaseState))
    expect(error).toMatchObject({ code: 'ERR_INVALID_ARG_TYPE' })
  })

  it.each<[string, unknown]>([
    ...numberFields.flatMap((field): [string, unknown][] => [
      [`2^64 for ${field}`, { ...state, [field]: 2n ** 64n }],
      [`-2^63 - 1 for ${field}`, { ...state, [field]: -(2n ** 63n) - 1n }],
    ]),
    ...timerFields.flatMap((field): [string, unknown][] => [
      [`2^64 for a vCPU's ${field}`, withTimers({ [field]: 2n ** 64n })],
      [`-1 for a vCPU's ${field}`, withTimers({ [field]: -1n })],
    ]),
    ['-1 for guestTimebase', { ...state, guestTimebase: -1n }],
    ['-1 for offset', { ...state, offset: -1n }],
    ['-1 for uncertaintyNs', { ...state, uncertaintyNs: -1n }],
    ['0 for timebaseFrequency', { ...state, timebaseFrequency: 0n }],
    ['2^63 for timeOfDayNs', { ...state, timeOfDayNs: 2n ** 63n }],
    ['-1 for an id', { ...state, vcpus: [{ id: -1 }] }],
    ['a fraction for an id', { ...state, vcpus: [{ id: 0.5 }] }],
    ['NaN for an id', { ...state, vcpus: [{ id: NaN }] }],
    ['2^31 for an id', { ...state, vcpus: [{ id: 2 ** 31 }] }],
    ['the same id twice', { ...state, vcpus: [{ id: 3 }, { id: 3 }] }],
  ])('%s, as a RangeError', (_what, given) => {
    const error = caught(RangeError, () => serializeTimebase(given as TimebaseState))
    expect(error).toMatchObject({ code: 'ERR_OUT_OF_RANGE' })
  })
})
