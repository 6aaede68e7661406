import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { registerNames, registers, registerSize } from '../lib/registers.ts'
import type { RegisterName } from '../lib/registers.ts'
import { main } from '../scripts/compare-registers.ts'
import { compareRegisters, HeaderError, parseHeader } from '../scripts/kvm-header.ts'

const REAL_HEADER = '/usr/powerpc64le-linux-gnu/include/asm/kvm.h'

describe('registers', () => {
  it.each<[RegisterName, bigint, number]>([
    ['HIOR', 0x1030000000000001n, 64],
    ['DSISR', 0x102000000000000dn, 32],
    ['FPR0', 0x1030000000000020n, 64],
    ['FPR31', 0x103000000000003fn, 64],
    ['VR31', 0x104000000000005fn, 128],
    ['VSR0', 0x1040000000000060n, 128],
    ['MAS0', 0x102000000000008cn, 32],
    ['ICP_STATE', 0x103000000000008cn, 64],
    ['VP_STATE', 0x104000000000008dn, 128],
    ['TB_OFFSET', 0x103000000000009cn, 64],
    ['LPCR', 0x10200000000000b5n, 32],
    ['LPCR_64', 0x10300000000000b5n, 64],
    ['DEC_EXPIRY', 0x10300000000000ben, 64],
    ['HASHPKEYR', 0x10300000000000c8n, 64],
    ['TM_GPR0', 0x1030000080000000n, 64],
    ['TM_GPR31', 0x103000008000001fn, 64],
    ['TM_VSR63', 0x104000008000005fn, 128],
    ['TM_VSCR', 0x1020000080000067n, 32],
  ])('gives %s its id and width', (name, id, width) => {
    expect(registers[name]).toMatchObject({ id, width })
  })

  it('has every register of Linux 6.12', () => {
    expect(registerNames).toHaveLength(310)
  })

  it('lists names in the order of the table, each once', () => {
    expect(registerNames).toEqual(Object.keys(registers))
    expect(new Set(registerNames).size).toBe(registerNames.length)
    expect(registerNames.indexOf('FPR10')).toBe(registerNames.indexOf('FPR9') + 1)
  })

  it('gives every register an id of its own', () => {
    const ids = Object.values(registers).map(({ id }) => id)
    expect(new Set(ids).size).toBe(ids.length)
  })

  it('keeps ids apart that are the same as doubles', () => {
    expect(Number(registers.TB_OFFSET.id)).toBe(Number(registers.DEC_EXPIRY.id))
    expect(registers.TB_OFFSET.id).not.toBe(registers.DEC_EXPIRY.id)
  })

  it('keeps registers apart that have the same index', () => {
    const index = 0xffffffffn
    expect(registers.MAS0.id & index).toBe(registers.ICP_STATE.id & index)
    expect(registers.MAS0.id).not.toBe(registers.ICP_STATE.id)
  })

  it('gives ids of the PPC class, with size bits that match the width', () => {
    const wrong = registerNames.filter((name) => {
      const { id, width } = registers[name]
      return id >> 56n !== 0x10n || registerSize(id) * 8 !== width
    })
    expect(wrong).toEqual([])
  })

  it('says in one line what each register is', () => {
    for (const { meaning } of Object.values(registers))
      expect(meaning).toMatch(/^[A-Z0-9].*[^.\s]$/)
  })

  it('numbers the meanings of a family', () => {
    expect(registers.FPR7.meaning).toBe('Floating-point register 7')
    expect(registers.TM_VSR63.meaning).toBe('TM checkpoint: vector-scalar register 63')
  })

  it('cannot be changed', () => {
    expect(Object.isFrozen(registers)).toBe(true)
    expect(Object.isFrozen(registerNames)).toBe(true)
    expect(Object.values(registers).filter((entry) => !Object.isFrozen(entry))).toEqual([])
  })
})

describe('registerSize', () => {
  it.each([
    ['0x1000000000000000', 1],
    ['0x102000000000000d', 4],
    ['0x103000000000009c', 8],
    ['0x1040000000000040', 16],
    ['0x1050000000000000', 32],
    ['0x1080000000000000', 256],
    ['0x10f0000000000000', 32768],
    ['0x2030000200000010', 8], // another architecture's: the TSC of x86
  ])('reads the size bits of %s as %d bytes', (id, bytes) => {
    expect(registerSize(BigInt(id))).toBe(bytes)
  })
})

const HEADER = `
/* #define KVM_REG_PPC_GHOST (KVM_REG_PPC | KVM_REG_SIZE_U64 | 0xff)
 */
#define KVM_REG_PPC_ICP_STATE\t(KVM_REG_PPC | KVM_REG_SIZE_U64 | 0x8c)
#define  KVM_REG_PPC_ICP_CPPR_SHIFT\t56\t/* current proc priority */
#define  KVM_REG_PPC_ICP_CPPR_MASK\t0xff
  #  define KVM_REG_PPC_DAR  ( KVM_REG_PPC|KVM_REG_SIZE_U64|12 ) // a line comment
#define KVM_REG_PPC_MAS0 (KVM_REG_PPC | /* why
  not */ KVM_REG_SIZE_U32 | 0x8CUL)
#define KVM_REG_PPC_FPR0\t(KVM_REG_PPC | KVM_REG_SIZE_U64 | 0x20)
#define KVM_REG_PPC_FPR(n)\t(KVM_REG_PPC_FPR0 + (n))
#define KVM_REG_PPC_FPR3\t(KVM_REG_PPC | KVM_REG_SIZE_U64 | 0x23)
#define KVM_REG_PPC_TM \\
\t(KVM_REG_PPC | 0x80000000)
#define KVM_REG_PPC_TM_VSR0\t(KVM_REG_PPC_TM | \\
\t\t\t\t KVM_REG_SIZE_U128 | 0)
#define KVM_REG_PPC_ALIAS KVM_REG_PPC_DAR
#define KVM_DEV_MPIC_GRP_MISC 1
`

describe('parseHeader', () => {
  it('reads registers, families and the TM base, and nothing else', () => {
    expect([...parseHeader(HEADER)].sort()).toEqual([
      ['ALIAS', 0x103000000000000cn],
      ['DAR', 0x103000000000000cn],
      ['FPR0', 0x1030000000000020n],
      ['FPR1', 0x1030000000000021n],
      ['FPR2', 0x1030000000000022n],
      ['FPR3', 0x1030000000000023n],
      ['ICP_STATE', 0x103000000000008cn],
      ['MAS0', 0x102000000000008cn],
      ['TM_VSR0', 0x1040000080000000n],
    ])
  })

  it('reads Windows line endings', () => {
    expect(parseHeader(HEADER.replaceAll('\n', '\r\n'))).toEqual(parseHeader(HEADER))
  })

  it.each([
    ['an empty file', '', /no KVM_REG_PPC_ register/],
    ['another header', '#define KVM_REG_SIZE_SHIFT 52\n', /no KVM_REG_PPC_ register/],
    ['only a base', '#define KVM_REG_PPC_TM (KVM_REG_PPC | 0x80000000)\n', /no KVM_REG_PPC_ reg/],
    ['an unknown name', '#define KVM_REG_PPC_X (KVM_REG_PPC | SIZE | 1)\n', /KVM_REG_PPC_X/],
    ['an unknown size', '#define KVM_REG_PPC_X (KVM_REG_PPC | KVM_REG_SIZE_U65 | 1)\n', /_X/],
    ['arithmetic', '#define KVM_REG_PPC_X (KVM_REG_PPC | KVM_REG_SIZE_U64 | 1 + 1)\n', /_X/],
    ['half a line', '#define KVM_REG_PPC_X (KVM_REG_PPC | KVM_REG_SIZE_U64 |\n', /KVM_REG_PPC_X/],
    ['an endless family', '#define KVM_REG_PPC_FPR(n) (KVM_REG_PPC_FPR0 + (n))\n', /FPR\(n\)/],
  ])('refuses %s', (_what, text, message) => {
    expect(() => parseHeader(text)).toThrow(HeaderError)
    expect(() => parseHeader(text)).toThrow(message)
  })
})

describe('compareRegisters', () => {
  const header = new Map([
    ['DAR', 0x103000000000000cn],
    ['DSISR', 0x102000000000000dn],
  ])
  const table = {
    DAR: { id: 0x103000000000000cn, width: 64 },
    DSISR: { id: 0x102000000000000dn, width: 32 },
  }

  it('finds nothing when they agree', () => {
    expect(compareRegisters(header, table)).toEqual({ missing: [], different: [], extra: [] })
  })

  it('finds a register that the table lacks', () => {
    const { missing, extra } = compareRegisters(header, { DAR: table.DAR })
    expect(missing).toEqual([{ name: 'DSISR', id: 0x102000000000000dn }])
    expect(extra).toEqual([])
  })

  it('finds a register that the header lacks', () => {
    const { missing, extra } = compareRegisters(new Map([['DAR', table.DAR.id]]), table)
    expect(missing).toEqual([])
    expect(extra).toEqual([{ name: 'DSISR', id: 0x102000000000000dn }])
  })

  it.each([
    ['another index', { id: 0x103000000000000bn, width: 64 }],
    ['another size', { id: 0x102000000000000cn, width: 32 }],
    ['a width that is not that of the id', { id: 0x103000000000000cn, width: 32 }],
  ])('finds %s', (_what, DAR) => {
    const { different } = compareRegisters(header, { ...table, DAR })
    expect(different).toEqual([
      { name: 'DAR', id: 0x103000000000000cn, tableId: DAR.id, tableWidth: DAR.width },
    ])
  })

  it('takes no name for a register that every object has', () => {
    const { missing } = compareRegisters(new Map([['constructor', 1n]]), {})
    expect(missing).toEqual([{ name: 'constructor', id: 1n }])
  })
})

describe('compare-registers', () => {
  let folder: string
  let output: string[]
  let errors: string[]

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'compare-registers-'))
    output = []
    errors = []
    vi.spyOn(console, 'log').mockImplementation((line: string) => output.push(line))
    vi.spyOn(console, 'error').mockImplementation((line: string) => errors.push(line))
  })

  afterEach(() => {
    vi.restoreAllMocks()
    rmSync(folder, { recursive: true })
  })

  function headerFile(text: string): string {
    const path = join(folder, 'kvm.h')
    writeFileSync(path, text)
    return path
  }

  it('prints each difference and ends with 1', () => {
    const path = headerFile(`
#define KVM_REG_PPC_DAR (KVM_REG_PPC | KVM_REG_SIZE_U64 | 0xc)
#define KVM_REG_PPC_DSISR (KVM_REG_PPC | KVM_REG_SIZE_U32 | 0xd)
`)
    const table = {
      DAR: { id: 0x102000000000000cn, width: 32 },
      DEC_EXPIRY: { id: 0x10300000000000ben, width: 64 },
    }
    expect(main([path], table)).toBe(1)
    expect(output).toEqual([
      'missing    DSISR       0x102000000000000d  32 bits',
      'different  DAR         0x103000000000000c  64 bits, in the table 0x102000000000000c  32 bits',
      'extra      DEC_EXPIRY  0x10300000000000be  64 bits',
      '2 registers in the header, 2 in the table: 1 missing, 1 different, 1 extra',
    ])
  })

  it('ends with 0 for an older header, and lists what it lacks', () => {
    const path = headerFile('#define KVM_REG_PPC_DAR (KVM_REG_PPC | KVM_REG_SIZE_U64 | 0xc)\n')
    expect(main([path])).toBe(0)
    expect(output).toHaveLength(310)
    expect(output.at(-1)).toMatch(/^1 registers .*: 0 missing, 0 different, 309 extra$/)
  })

  it('ends with 1 for a newer header', () => {
    const path = headerFile('#define KVM_REG_PPC_NEW (KVM_REG_PPC | KVM_REG_SIZE_U64 | 0xcf)\n')
    expect(main([path])).toBe(1)
    expect(output[0]).toMatch(/^missing {4}NEW +0x10300000000000cf {2}64 bits$/)
  })

  it.each([
    ['no argument', []],
    ['two paths', ['a', 'b']],
    ['an unknown option', ['--frob']],
  ])('ends with 2 and the usage for %s', (_what, args) => {
    expect(main(args)).toBe(2)
    expect(errors.at(-1)).toMatch(/^Usage: /)
    expect(output).toEqual([])
  })

  it('ends with 2 for a file that it cannot read', () => {
    expect(main([join(folder, 'absent.h')])).toBe(2)
    expect(errors).toEqual([expect.stringMatching(/absent\.h: ENOENT/)])
  })

  it('ends with 2 for a header without registers', () => {
    const path = headerFile('#define KVM_REG_SIZE_SHIFT 52\n')
    expect(main([path])).toBe(2)
    expect(errors).toEqual([`${path}: no KVM_REG_PPC_ register is defined in it`])
  })

  it('prints the usage on request', () => {
    expect(main(['--help'])).toBe(0)
    expect(output[0]).toMatch(/^Usage: /)
  })
})

const absent = !existsSync(REAL_HEADER)
const hint = absent ? ' (skipped: apt-get install linux-libc-dev-ppc64el-cross)' : ''

describe.skipIf(absent)(`the header of the ppc64el cross toolchain${hint}`, () => {
  it('has no register that the table lacks or has otherwise', () => {
    const { missing, different } = compareRegisters(
      parseHeader(readFileSync(REAL_HEADER, 'utf8')),
      registers,
    )
    expect({ missing, different }).toEqual({ missing: [], different: [] })
  })

  it('is read to its end', () => {
    const header = parseHeader(readFileSync(REAL_HEADER, 'utf8'))
    expect(header.get('TM_XER')).toBe(0x103000008000006an)
    expect(header.get('TM_VSR62')).toBe(0x104000008000005en)
  })
})
