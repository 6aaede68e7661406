import { describe, expectTypeOf, it } from 'vitest'
import { registers } from '../lib/registers.ts'
import type { Register, RegisterName, RegisterValue, RegisterValues } from '../lib/registers.ts'

describe('RegisterName', () => {
  it('takes the members of families, and no others', () => {
    expectTypeOf<'FPR0'>().toExtend<RegisterName>()
    expectTypeOf<'FPR31'>().toExtend<RegisterName>()
    expectTypeOf<'TM_VSR63'>().toExtend<RegisterName>()
    expectTypeOf<'FPR32'>().not.toExtend<RegisterName>()
    expectTypeOf<'TM_VSR64'>().not.toExtend<RegisterName>()
    expectTypeOf<'FPR'>().not.toExtend<RegisterName>()
    expectTypeOf<string>().not.toExtend<RegisterName>()
  })

  it('takes no misspelt names', () => {
    const names: RegisterName[] = [
      'TB_OFFSET',
      // @ts-expect-error there is no FPR32
      'FPR32',
      // @ts-expect-error a letter is missing
      'TB_OFSET',
      // @ts-expect-error names come without this prefix
      'KVM_REG_PPC_TB_OFFSET',
      // @ts-expect-error names are in upper case
      'tb_offset',
    ]
    expectTypeOf(names).toBeArray()
  })
})

describe('RegisterValue', () => {
  it('follows the width of the register', () => {
    expectTypeOf<RegisterValue<'DSISR'>>().toEqualTypeOf<number>()
    expectTypeOf<RegisterValue<'TM_VSCR'>>().toEqualTypeOf<number>()
    expectTypeOf<RegisterValue<'TB_OFFSET'>>().toEqualTypeOf<bigint>()
    expectTypeOf<RegisterValue<'FPR31'>>().toEqualTypeOf<bigint>()
    expectTypeOf<RegisterValue<'VR0'>>().toEqualTypeOf<Uint8Array>()
    expectTypeOf<RegisterValue<'TM_VSR63'>>().toEqualTypeOf<Uint8Array>()
  })

  it('tells two widths of one register apart', () => {
    expectTypeOf<RegisterValue<'LPCR'>>().toEqualTypeOf<number>()
    expectTypeOf<RegisterValue<'LPCR_64'>>().toEqualTypeOf<bigint>()
  })

  it('is any of them for a name that is known at run time only', () => {
    expectTypeOf<RegisterValue<RegisterName>>().toEqualTypeOf<number | bigint | Uint8Array>()
  })
})

describe('RegisterValues', () => {
  it('takes some registers, each with its own type of value', () => {
    expectTypeOf({ TB_OFFSET: 5n, DSISR: 1 }).toExtend<RegisterValues>()
    expectTypeOf<{ TB_OFFSET: number }>().not.toExtend<RegisterValues>()
    // @ts-expect-error the name is TB_OFFSET
    const values: RegisterValues = { TB_OFSET: 5n }
    expectTypeOf(values).toBeObject()
  })
})

describe('registers', () => {
  it('keeps the width of each register as a literal', () => {
    expectTypeOf(registers.TB_OFFSET.width).toEqualTypeOf<64>()
    expectTypeOf(registers.PMC1).toEqualTypeOf<Register<32>>()
    expectTypeOf(registers.VSR31).toEqualTypeOf<Register<128>>()
    expectTypeOf(registers.TB_OFFSET.id).toEqualTypeOf<bigint>()
  })

  it('is read only', () => {
    // @ts-expect-error an entry cannot be replaced
    registers.TB_OFFSET = registers.DEC_EXPIRY
    // @ts-expect-error a family's entry cannot be replaced
    registers.FPR0 = registers.FPR1
    // @ts-expect-error an id cannot be changed
    registers.TB_OFFSET.id = 0n
  })
})
