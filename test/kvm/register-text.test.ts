import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Host } from '../../lib/kvm/host.ts'
import { OneRegError } from '../../lib/errors.ts'
import { SoftwareKernel } from '../../lib/kernel/software/kernel.ts'
import {
  parseRegisters,
  REGISTERS_TEXT_LIMIT,
  serializeRegisters,
} from '../../lib/kvm/register-text.ts'
import { registerNames, registers } from '../../lib/registers.ts'
import type { RegisterName, RegisterValues } from '../../lib/registers.ts'
import { caught } from '../support/caught.ts'
import { cases } from '../support/emulated.ts'

const values: RegisterValues = {
  DSISR: 0xffff_ffff,
  DAR: 2n ** 64n - 1n,
  VR0: Uint8Array.from({ length: 16 }, (_, index) => 16 * index + index),
}

const text =
  '{"format":"kvm-ppc-onereg/registers","version":1,"registers":' +
  '{"DSISR":4294967295,"DAR":"18446744073709551615","VR0":"00112233445566778899aabbccddeeff"}}'

function withRegister(name: string, value: unknown): string {
  return JSON.stringify({
    format: 'kvm-ppc-onereg/registers',
    version: 1,
    registers: { [name]: value },
  })
}

function formatError(given: string): string {
  const error = caught(OneRegError, () => parseRegisters(given))
  expect(error.code).toBe('ERR_STATE_FORMAT')
  return error.message
}

function anyValueOf(name: RegisterName): fc.Arbitrary<unknown> {
  const { width } = registers[name]
  if (width === 128) return fc.uint8Array({ minLength: 16, maxLength: 16 })
  return width === 64 ? fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }) : fc.nat(2 ** 31 - 1)
}

const anyValues = fc
  .uniqueArray(fc.constantFrom(...registerNames))
  .chain((names) => fc.tuple(...names.map((name) => fc.tuple(fc.constant(name), anyValueOf(name)))))
  .map((entries): RegisterValues => Object.fromEntries(entries))

describe('a register snapshot as text', () => {
  it('is written as scripts know it, and read again', () => {
    expect(serializeRegisters(values)).toBe(text)
    expect(parseRegisters(text)).toStrictEqual(values)
  })

  it('is what JSON.stringify gives of a snapshot, whose properties stay the registers', () => {
    const vcpu = new Host(new SoftwareKernel()).createVm().createVcpu(0)
    vcpu.write(values)
    const snapshot = vcpu.snapshot()
    expect(JSON.stringify(snapshot)).toBe(serializeRegisters(snapshot))
    expect(parseRegisters(JSON.stringify(snapshot))).toEqual(snapshot)
    expect(vcpu.restore(parseRegisters(JSON.stringify(snapshot)))).toEqual({ refused: [] })
    expect(Object.keys(snapshot)).not.toContain('toJSON')
    // As docs/formats.md says of its size.
    expect(JSON.stringify(snapshot).length).toBeLessThan(11_000)
  })

  it('goes there and back without loss', () => {
    fc.assert(
      fc.property(anyValues, (given) => {
        expect(parseRegisters(serializeRegisters(given))).toEqual(given)
      }),
      { numRuns: cases(300) },
    )
  })

  it('is refused where it is too long or of a newer version', () => {
    const spaces = ' '.repeat(REGISTERS_TEXT_LIMIT - text.length)
    expect(parseRegisters(text + spaces)).toEqual(values)
    expect(formatError(`${text}${spaces} `)).toMatch(/more than 1048576 characters/)
    const newer = text.replace('"version":1', '"version":2')
    expect(caught(OneRegError, () => parseRegisters(newer)).code).toBe('ERR_STATE_VERSION')
  })

  it.each<[string, unknown, string]>([
    ['NIP', '1', "'registers.NIP' is not known"],
    ['toString', '1', "'registers.toString' is not known"],
    ['DSISR', '1', '"registers.DSISR" must be a whole number from 0'],
    ['DSISR', -1, '"registers.DSISR" must be a whole number from 0'],
    ['DSISR', 0.5, '"registers.DSISR" must be a whole number from 0'],
    ['DSISR', 2 ** 32, '"registers.DSISR" must be a whole number from 0'],
    ['DAR', 1, '"registers.DAR" must be a whole number in a string'],
    ['DAR', '-1', '"registers.DAR" must be from 0 to 2^64 - 1'],
    ['DAR', `${2n ** 64n}`, '"registers.DAR" must be from 0 to 2^64 - 1'],
    ['DAR', null, '"registers.DAR" must be'],
    ['VR0', '00', '"registers.VR0" must be 32 hexadecimal digits'],
    ['VR0', '0'.repeat(31) + 'G', '"registers.VR0" must be 32 hexadecimal digits'],
    ['VR0', 0, '"registers.VR0" must be 32 hexadecimal digits'],
  ])('is refused with %s as %j', (name, value, message) => {
    expect(formatError(withRegister(name, value))).toContain(message)
  })

  it.each<[string, string, string]>([
    ['no registers', '{"format":"kvm-ppc-onereg/registers","version":1}', '"registers" must be'],
    ['a list', text.replace(/\{"DSISR.*\}\}/, '[]}'), '"registers" must be an object'],
    ['a field more', text.replace('"version":1', '"version":1,"x":1'), "'x' is not known"],
    ['a register twice', text.replace('{"DSISR":', '{"DSISR":1,"DSISR":'), 'a field twice'],
    ['__proto__', text.replace('{"DSISR"', '{"__proto__":"1","DSISR"'), '__proto__'],
    ['no JSON', 'registers', 'not JSON'],
    ['a timebase', '{"format":"kvm-ppc-onereg/timebase"}', 'parseTimebase reads'],
  ])('is refused with %s', (_what, given, message) => {
    expect(formatError(given)).toContain(message)
  })

  it('is not made of values that the registers cannot have', () => {
    expect(() => serializeRegisters({ DAR: 1 } as never)).toThrow(/DAR must be a bigint/)
    expect(() => serializeRegisters({ NIP: 1n } as never)).toThrow(/NIP/)
    expect(() => serializeRegisters([] as never)).toThrow(TypeError)
  })
})
