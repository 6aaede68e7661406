import { beforeEach, describe, expect, it } from 'vitest'
import { KvmError } from '../../lib/errors.ts'
import { Host } from '../../lib/kvm/host.ts'
import { registers } from '../../lib/registers.ts'
import type { RegisterName } from '../../lib/registers.ts'
import { SoftwareKernel } from '../../lib/kernel/software/kernel.ts'
import { FailingKernel } from '../../lib/testing/failing-kernel.ts'
import type { Vcpu } from '../../lib/kvm/vcpu.ts'
import { errorOf } from '../support/error-of.ts'
import {
  eightBytes,
  expectOutOfRange,
  expectWrongType,
  registerId,
} from '../support/wrong-arguments.ts'

let kernel: FailingKernel
let vcpu: Vcpu

beforeEach(() => {
  kernel = new FailingKernel(new SoftwareKernel())
  vcpu = new Host(kernel).createVm().createVcpu(3)
})

/** What a call throws before any system call. */
function refusalOf(call: () => unknown, what?: string): unknown {
  const { calls } = kernel
  const error = errorOf(call, what)
  expect(kernel.calls).toBe(calls)
  return error
}

function expectWrongValue(error: unknown, message: string | RegExp): void {
  expect(error).toBeInstanceOf(TypeError)
  expect(error).toMatchObject({ code: 'ERR_INVALID_ARG_VALUE' })
  expect((error as Error).message).toMatch(message)
}

const sixteen = Uint8Array.from({ length: 16 }, (_, index) => index + 1)

describe('get and set', () => {
  it('take 32 bits as a number, unsigned', () => {
    for (const value of [0, 5, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff]) {
      vcpu.set('DSISR', value)
      expect(vcpu.get('DSISR')).toBe(value)
    }
  })

  it('take 64 bits as a bigint, unsigned', () => {
    for (const value of [0n, 5n, (1n << 53n) + 1n, 1n << 63n, (1n << 64n) - 1n]) {
      vcpu.set('DAR', value)
      expect(vcpu.get('DAR')).toBe(value)
    }
  })

  it('take 128 bits as 16 bytes in the kernel’s memory order', () => {
    for (const value of [sixteen, new Uint8Array(16), new Uint8Array(16).fill(0xff)]) {
      vcpu.set('VR0', value)
      expect(vcpu.get('VR0')).toEqual(value)
    }
    vcpu.set('VSR31', Buffer.from(sixteen))
    expect(vcpu.get('VSR31')).toEqual(sixteen)
  })

  it('take each of a family for itself', () => {
    vcpu.set('VR1', sixteen)
    vcpu.set('FPR2', 7n)
    expect(vcpu.get('VR0')).toEqual(new Uint8Array(16))
    expect(vcpu.get('VR1')).toEqual(sixteen)
    expect([vcpu.get('FPR1'), vcpu.get('FPR2'), vcpu.get('FPR31')]).toEqual([0n, 7n, 0n])
  })

  it('tell the two widths of LPCR apart', () => {
    expect(vcpu.get('LPCR')).toBe(0x0054_0413)
    expect(vcpu.get('LPCR_64')).toBe(0x0040_0000_0054_0413n)
  })

  it('read what the kernel made of the value', () => {
    vcpu.set('TB_OFFSET', 5n)
    expect(vcpu.get('TB_OFFSET')).toBe(16777216n)
  })

  it('hand out bytes that are the caller’s own, and keep none of the caller’s', () => {
    const given = Uint8Array.from(sixteen)
    vcpu.set('VR0', given)
    given.fill(0)
    const first = vcpu.get('VR0')
    expect(first).toEqual(sixteen)
    first.fill(9)
    expect(vcpu.get('VR0')).toEqual(sixteen)
    const second = vcpu.get('VR0')
    vcpu.set('VR0', new Uint8Array(16))
    expect(vcpu.get('VSR0')).toEqual(new Uint8Array(16))
    expect(second).toEqual(sixteen)
    expect(second.buffer.byteLength).toBe(16)
  })

  it('are one system call each', () => {
    const { calls } = kernel
    vcpu.get('VR0')
    vcpu.set('DSISR', 0)
    expect(kernel.calls).toBe(calls + 2)
  })
})

describe('a value of the wrong type', () => {
  const others = [undefined, null, '5', true, {}, Symbol('5'), () => 5]
  it.each<[RegisterName, string, unknown[]]>([
    ['TB_OFFSET', 'a bigint', [...others, 5, 0, NaN, new Uint8Array(8), [5n]]],
    ['FPR7', 'a bigint', [...others, 5, 1.5, new Float64Array(1)]],
    ['DSISR', 'a number', [...others, 5n, 0n, new Uint8Array(4), [5]]],
    ['LPCR', 'a number', [...others, 5n]],
    [
      'VR0',
      'a Uint8Array',
      [
        ...others,
        5,
        5n,
        new Array(16).fill(0),
        new ArrayBuffer(16),
        new DataView(new ArrayBuffer(16)),
        new Int8Array(16),
        new Uint8ClampedArray(16),
        new Uint16Array(8),
        new BigUint64Array(2),
      ],
    ],
  ])('is a TypeError before any system call: %s is %s', (name, expected, values) => {
    for (const value of values) {
      for (const use of [
        () => {
          vcpu.set(name, value as never)
        },
        () => {
          vcpu.write({ [name]: value })
        },
      ]) {
        const error = refusalOf(use)
        expectWrongType(error, value)
        expect((error as Error).message).toContain(`${name} must be ${expected}, not `)
      }
    }
  })

  it('is told how to be the right one where it is a number', () => {
    const error = refusalOf(() => {
      vcpu.set('TB_OFFSET', 5 as never)
    })
    expect((error as Error).message).toBe('TB_OFFSET must be a bigint, not 5; write 1n, not 1')
  })
})

describe('a value out of range', () => {
  it.each<[RegisterName, string, unknown[]]>([
    ['TB_OFFSET', 'from 0 to 2^64 - 1', [-1n, 1n << 64n, -(1n << 63n), 1n << 128n]],
    [
      'DSISR',
      'an integer from 0 to 2^32 - 1',
      [-1, 2 ** 32, 0.5, -0.5, NaN, Infinity, -Infinity, 2 ** 53],
    ],
    ['VR0', '16 bytes long', [0, 8, 15, 17, 32].map((length) => new Uint8Array(length))],
  ])('is a RangeError before any system call: %s is %s', (name, expected, values) => {
    for (const value of values) {
      for (const use of [
        () => {
          vcpu.set(name, value as never)
        },
        () => {
          vcpu.write({ [name]: value })
        },
      ]) {
        const error = refusalOf(use)
        expectOutOfRange(error, value)
        expect((error as Error).message).toContain(`${name} must be ${expected}, not `)
      }
    }
  })
})

describe('a name', () => {
  const uses: [string, (name: unknown) => unknown][] = [
    ['get', (name) => vcpu.get(name as 'TB_OFFSET')],
    [
      'set',
      (name) => {
        vcpu.set(name as 'TB_OFFSET', 5n)
      },
    ],
    ['has', (name) => vcpu.has(name as 'TB_OFFSET')],
    ['read', (name) => vcpu.read(['DSISR', name as 'TB_OFFSET'])],
  ]
  const writes = (name: string): void => {
    vcpu.write(JSON.parse(`{"DSISR":1,${JSON.stringify(name)}:5}`) as object)
  }

  it.each([
    'TB_OFSET',
    'tb_offset',
    'TB_OFFSET ',
    '',
    'FPR32',
    'FPR',
    'FPR01',
    'VSR-1',
    'constructor',
    '__proto__',
    'toString',
    'hasOwnProperty',
    'KVM_REG_PPC_',
    'KVM_REG_PPC_NONSENSE',
    'KVM_REG_PPC_constructor',
    'KVM_REG_PPC_KVM_REG_PPC_TB_OFFSET',
  ])('is one of the table, not %j', (name) => {
    for (const [what, use] of [...uses, ['write', writes] as const]) {
      const error = refusalOf(() => use(name), what)
      expectWrongValue(error, /^the register must be a name of the table(, as '\w+')?, not /)
      expect((error as Error).message).toContain(`'${name}'`)
    }
    expect(vcpu.get('DSISR')).toBe(0)
  })

  it.each([
    ['dar', ", as 'DAR'"],
    ['kvm_reg_ppc_tb_offset', ", as 'TB_OFFSET'"],
    ['DEC', ", as 'DEC_EXPIRY'"],
    ['TB', ", as 'TB_OFFSET'"],
    ['pc', ' (this one is not of ONE_REG: KVM_GET_REGS reads it)'],
    ['GPR3', ' (this one is not of ONE_REG: KVM_GET_REGS reads it)'],
    ['format', ' (parseRegisters makes a snapshot of text; JSON.parse does not)'],
    ['NONSENSE', ''],
    ['', ''],
  ])('is suggested for %j', (name, hint) => {
    const message = `the register must be a name of the table${hint}, not '${name}'`
    expectWrongValue(
      errorOf(() => vcpu.get(name as never)),
      message,
    )
  })

  it('is told without the prefix of the kernel’s header', () => {
    for (const [what, use] of [...uses, ['write', writes] as const]) {
      const error = refusalOf(() => use('KVM_REG_PPC_TB_OFFSET'), what)
      expectWrongValue(
        error,
        "the register must be a name of the table, as 'TB_OFFSET', not 'KVM_REG_PPC_TB_OFFSET'",
      )
    }
  })

  it.each([undefined, null, 5, 0x103000000000009cn, {}, ['TB_OFFSET'], Symbol('TB_OFFSET')])(
    'is a string, not %o',
    (name) => {
      for (const [what, use] of uses) {
        const error = refusalOf(() => use(name), what)
        expectWrongType(error)
        expect((error as Error).message).toMatch(
          /^the register must be a name, as 'TB_OFFSET', not /,
        )
      }
    },
  )
})

describe('an error of the kernel', () => {
  it('says what failed, where, and why it usually does', () => {
    const error = errorOf(() => vcpu.get('MAS0'))
    expect(error).toBeInstanceOf(KvmError)
    expect(error).toMatchObject({
      name: 'KvmError',
      code: 'EINVAL',
      errno: -22,
      syscall: 'ioctl',
      operation: 'KVM_GET_ONE_REG',
      register: 'MAS0',
      vcpu: 3,
    })
    expect((error as Error).message).toMatch(
      /^KVM_GET_ONE_REG of MAS0 on vCPU 3 failed: EINVAL \(this kernel or processor does not have the register, /,
    )
  })

  it('says so of a value that the kernel refuses', () => {
    expect(
      errorOf(() => {
        vcpu.set('ARCH_COMPAT', 1)
      }),
    ).toMatchObject({
      code: 'EINVAL',
      operation: 'KVM_SET_ONE_REG',
      register: 'ARCH_COMPAT',
      vcpu: 3,
    })
  })

  it('says so of a device that is not there', () => {
    const error = errorOf(() => vcpu.get('ICP_STATE'))
    expect(error).toMatchObject({ code: 'ENXIO', errno: -6, register: 'ICP_STATE' })
    expect((error as Error).message).toMatch(/lacks the device/)
  })

  it.each<[string, () => unknown, string, string]>([
    ['get', () => vcpu.get('DAR'), 'KVM_GET_ONE_REG', 'DAR'],
    [
      'set',
      () => {
        vcpu.set('DAR', 5n)
      },
      'KVM_SET_ONE_REG',
      'DAR',
    ],
    ['has', () => vcpu.has('DAR'), 'KVM_GET_ONE_REG', 'DAR'],
    ['read', () => vcpu.read(['DAR', 'DSISR']), 'KVM_GET_ONE_REG', 'DAR'],
    [
      'write',
      () => {
        vcpu.write({ DAR: 5n, DSISR: 1 })
      },
      'KVM_SET_ONE_REG',
      'DAR',
    ],
    ['getRaw', () => vcpu.getRaw(registers.DAR.id), 'KVM_GET_ONE_REG', '0x103000000000000c'],
    [
      'setRaw',
      () => {
        vcpu.setRaw(registers.DAR.id, new Uint8Array(8))
      },
      'KVM_SET_ONE_REG',
      '0x103000000000000c',
    ],
  ])('is the same for %s', (_name, call, operation, register) => {
    kernel.fail({ errno: 'EIO' })
    const error = errorOf(call)
    expect(error).toBeInstanceOf(KvmError)
    expect(error).toMatchObject({
      code: 'EIO',
      errno: -5,
      syscall: 'ioctl',
      operation,
      register,
      vcpu: 3,
    })
    expect((error as Error).message).toBe(
      `${operation} of ${register} on vCPU 3 failed: EIO (the VM was made by another process: ` +
        'calls on its vCPUs work only in the process that created it, not in a child process or over ' +
        'a passed descriptor; worker threads are fine)',
    )
  })
})

describe('has', () => {
  it('says which registers this vCPU has', () => {
    expect(vcpu.has('TB_OFFSET')).toBe(true)
    expect(vcpu.has('VR0')).toBe(true)
    expect(vcpu.has('DSISR')).toBe(true)
    expect(vcpu.has('MAS0')).toBe(false)
    expect(vcpu.has('TM_VSR63')).toBe(false)
    expect(vcpu.has('ICP_STATE')).toBe(false)
  })

  it('says no where an older kernel lacks one', () => {
    const old = new Host(new SoftwareKernel({ without: ['DEC_EXPIRY'] })).createVm().createVcpu(0)
    expect(old.has('DEC_EXPIRY')).toBe(false)
    expect(old.has('TB_OFFSET')).toBe(true)
  })

  it.each(['EINVAL', 'ENXIO', 'ENOENT', 'EPERM', 'EOPNOTSUPP'] as const)(
    'takes %s for a no: the kernel promises no one code',
    (errno) => {
      kernel.fail({ errno })
      expect(vcpu.has('TB_OFFSET')).toBe(false)
      expect(vcpu.has('TB_OFFSET')).toBe(true)
    },
  )

  it.each(['EIO', 'EBADF', 'ENOTTY', 'EFAULT', 'EAGAIN', 'ENOMEM'] as const)(
    'throws for %s, which says nothing of the register',
    (errno) => {
      kernel.fail({ errno })
      expect(() => vcpu.has('TB_OFFSET')).toThrow(
        expect.objectContaining({
          code: errno,
          operation: 'KVM_GET_ONE_REG',
          register: 'TB_OFFSET',
        }),
      )
    },
  )
})

describe('getRaw and setRaw', () => {
  it('read and write any register by its id, as bytes in the kernel’s memory order', () => {
    vcpu.setRaw(registers.VR0.id, sixteen)
    expect(vcpu.get('VR0')).toEqual(sixteen)
    expect(vcpu.getRaw(registers.VR0.id)).toEqual(sixteen)
    vcpu.setRaw(registers.DAR.id, new Uint8Array(BigUint64Array.of(5n).buffer))
    expect(vcpu.get('DAR')).toBe(5n)
    vcpu.set('DSISR', 7)
    expect(vcpu.getRaw(registers.DSISR.id)).toEqual(new Uint8Array(Uint32Array.of(7).buffer))
  })

  it.each([
    ['0x10300000000000ff', 8],
    ['0x105000000000009c', 32],
    ['0x2030000200000010', 8],
    ['0xffffffffffffffff', 32768],
    ['0x0', 1],
  ])('pass on the id %s, which this kernel does not know', (hex, size) => {
    const id = BigInt(hex)
    const unknown = { code: 'EINVAL', register: hex, vcpu: 3, syscall: 'ioctl' }
    expect(errorOf(() => vcpu.getRaw(id))).toMatchObject({
      ...unknown,
      operation: 'KVM_GET_ONE_REG',
    })
    expect(
      errorOf(() => {
        vcpu.setRaw(id, new Uint8Array(size))
      }),
    ).toMatchObject({ ...unknown, operation: 'KVM_SET_ONE_REG' })
  })

  it('throw for an id that is no bigint, before any system call', () => {
    for (const id of registerId.wrongTypes()) {
      expectWrongType(
        refusalOf(() => vcpu.getRaw(id as never)),
        id,
      )
      expectWrongType(
        refusalOf(() => {
          vcpu.setRaw(id as never, new Uint8Array(8))
        }),
        id,
      )
    }
    const error = refusalOf(() => vcpu.getRaw(5 as never))
    expect((error as Error).message).toBe('id must be a bigint, not 5; write 1n, not 1')
  })

  it('throw for an id out of range, before any system call', () => {
    for (const id of registerId.wrongRanges()) {
      expectOutOfRange(
        refusalOf(() => vcpu.getRaw(id as never)),
        id,
      )
      expectOutOfRange(
        refusalOf(() => {
          vcpu.setRaw(id as never, new Uint8Array(8))
        }),
        id,
      )
    }
  })

  it('throw for bytes that are none, or of another length, before any system call', () => {
    const { id } = registers.TB_OFFSET
    const set = (bytes: unknown): unknown =>
      refusalOf(() => {
        vcpu.setRaw(id, bytes as Uint8Array)
      })
    for (const bytes of eightBytes.wrongTypes()) expectWrongType(set(bytes), bytes)
    for (const bytes of eightBytes.wrongRanges()) expectOutOfRange(set(bytes), bytes)
    expect((set(new Uint8Array(4)) as Error).message).toMatch(
      /^bytes must be 8 bytes long, .*4 bytes/,
    )
  })
})

describe('read', () => {
  it('gives many registers, each by its name and with its own type', () => {
    vcpu.set('TB_OFFSET', 5n)
    vcpu.set('DSISR', 7)
    vcpu.set('VR0', sixteen)
    expect(vcpu.read(['DSISR', 'VR0', 'TB_OFFSET', 'FPR31'])).toEqual({
      TB_OFFSET: 16777216n,
      DSISR: 7,
      VR0: sixteen,
      FPR31: 0n,
    })
  })

  it('gives a register once that is named twice', () => {
    vcpu.set('DAR', 5n)
    expect(vcpu.read(['DAR', 'DSISR', 'DAR'])).toEqual({ DAR: 5n, DSISR: 0 })
  })

  it('gives bytes that are the caller’s own', () => {
    const { VR0, VR1 } = vcpu.read(['VR0', 'VR1'])
    VR0.fill(9)
    expect(VR1).toEqual(new Uint8Array(16))
    expect(VR0.buffer.byteLength).toBe(16)
    expect(vcpu.get('VR0')).toEqual(new Uint8Array(16))
  })

  it('of nothing is nothing', () => {
    const { calls } = kernel
    expect(vcpu.read([])).toEqual({})
    expect(kernel.calls).toBe(calls)
  })

  it('throws for the first that could not be read', () => {
    expect(() => vcpu.read(['DAR', 'ICP_STATE', 'MAS0'])).toThrow(
      expect.objectContaining({
        code: 'ENXIO',
        operation: 'KVM_GET_ONE_REG',
        register: 'ICP_STATE',
        vcpu: 3,
      }),
    )
  })

  it.each([undefined, null, 'TB_OFFSET', 5, { length: 1, 0: 'DAR' }, new Set(['DAR'])])(
    'takes a list of names, not %o',
    (names) => {
      const error = refusalOf(() => vcpu.read(names as never))
      expectWrongType(error)
      expect((error as Error).message).toMatch(/^names must be an array of register names, not /)
    },
  )
})

describe('write', () => {
  it('sets many registers, of every width', () => {
    vcpu.write({ DSISR: 7, VR0: sixteen, TB_OFFSET: 5n })
    expect(vcpu.get('DSISR')).toBe(7)
    expect(vcpu.get('VR0')).toEqual(sixteen)
    expect(vcpu.get('TB_OFFSET')).toBe(16777216n)
  })

  it('goes in the order in which they are given', () => {
    vcpu.write({ DEC_EXPIRY: 9n, TB_OFFSET: 5n })
    expect(vcpu.get('DEC_EXPIRY')).toBe(9n)
    // The other way round, TB_OFFSET starts a DEC_EXPIRY of 0, and the write ends it again.
    vcpu.write({ DEC_EXPIRY: 0n })
    vcpu.write({ TB_OFFSET: 6n, DEC_EXPIRY: 0n })
    expect(vcpu.get('DEC_EXPIRY')).toBe(0n)
    vcpu.write({ DEC_EXPIRY: 0n, TB_OFFSET: 6n })
    expect(vcpu.get('DEC_EXPIRY')).not.toBe(0n)
  })

  it('checks every value before the first is written', () => {
    for (const wrong of [-1, 2 ** 32, 5n, undefined]) {
      refusalOf(() => {
        vcpu.write({ DAR: 5n, TB_OFFSET: 5n, DSISR: wrong as never })
      }, String(wrong))
    }
    refusalOf(() => {
      vcpu.write({ DAR: 5n, NONSENSE: 5n } as object)
    })
    expect(vcpu.read(['DAR', 'TB_OFFSET', 'DSISR'])).toEqual({ DAR: 0n, TB_OFFSET: 0n, DSISR: 0 })
  })

  it('throws for the first that could not be written, when the others have been', () => {
    expect(() => {
      vcpu.write({ DAR: 5n, ARCH_COMPAT: 1, ICP_STATE: 1n, DSISR: 7 })
    }).toThrow(
      expect.objectContaining({
        code: 'EINVAL',
        operation: 'KVM_SET_ONE_REG',
        register: 'ARCH_COMPAT',
        vcpu: 3,
      }),
    )
    expect(vcpu.read(['DAR', 'DSISR'])).toEqual({ DAR: 5n, DSISR: 7 })
  })

  it('of nothing does nothing', () => {
    const { calls } = kernel
    vcpu.write({})
    expect(kernel.calls).toBe(calls)
  })

  it.each([undefined, null, 'TB_OFFSET', 5, 5n, ['TB_OFFSET'], () => 5])(
    'takes an object, not %o',
    (values) => {
      const error = refusalOf(() => {
        vcpu.write(values as never)
      })
      expectWrongType(error)
      expect((error as Error).message).toMatch(/^values must be an object, not /)
    },
  )
})
