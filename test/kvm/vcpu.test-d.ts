import { describe, expectTypeOf, it } from 'vitest'
import { openHost } from '../../lib/kvm/host.ts'
import type { Host } from '../../lib/kvm/host.ts'
import type { RegisterName, RegisterValues } from '../../lib/registers.ts'
import type { Vcpu } from '../../lib/kvm/vcpu.ts'

declare const host: Host
declare const vcpu: Vcpu
// Known at run time only.
declare const either: 'TB_OFFSET' | 'DSISR'
declare const anyName: RegisterName
declare const anyString: string

type Value<N extends RegisterName> = Parameters<typeof vcpu.set<N>>[1]

describe('get', () => {
  it('gives the type that the width of the register says', () => {
    expectTypeOf(vcpu.get('TB_OFFSET')).toEqualTypeOf<bigint>()
    expectTypeOf(vcpu.get('FPR31')).toEqualTypeOf<bigint>()
    expectTypeOf(vcpu.get('LPCR_64')).toEqualTypeOf<bigint>()
    expectTypeOf(vcpu.get('DSISR')).toEqualTypeOf<number>()
    expectTypeOf(vcpu.get('LPCR')).toEqualTypeOf<number>()
    expectTypeOf(vcpu.get('VR0')).toEqualTypeOf<Uint8Array>()
    expectTypeOf(vcpu.get('TM_VSR63')).toEqualTypeOf<Uint8Array>()
  })

  it('gives either type for either register', () => {
    expectTypeOf(vcpu.get(either)).toEqualTypeOf<bigint | number>()
    expectTypeOf(vcpu.get(anyName)).toEqualTypeOf<bigint | number | Uint8Array>()
  })

  it('takes no name that is misspelt', () => {
    // @ts-expect-error a letter is missing
    vcpu.get('TB_OFSET')
    // @ts-expect-error there is no FPR32
    vcpu.get('FPR32')
    // @ts-expect-error without the prefix
    vcpu.get('KVM_REG_PPC_TB_OFFSET')
    // @ts-expect-error in upper case
    vcpu.get('tb_offset')
    // @ts-expect-error any string might be misspelt
    vcpu.get(anyString)
    // @ts-expect-error an id is for getRaw
    vcpu.get(0x103000000000009cn)
  })
})

describe('set', () => {
  it('takes the type that the width of the register says', () => {
    expectTypeOf<Value<'TB_OFFSET'>>().toEqualTypeOf<bigint>()
    expectTypeOf<Value<'DSISR'>>().toEqualTypeOf<number>()
    expectTypeOf<Value<'VSR5'>>().toEqualTypeOf<Uint8Array>()
    vcpu.set('TB_OFFSET', 5n)
    vcpu.set('VR0', Buffer.alloc(16))
  })

  it('takes no other type', () => {
    // @ts-expect-error 64 bits are a bigint
    vcpu.set('TB_OFFSET', 5)
    // @ts-expect-error 32 bits are a number
    vcpu.set('DSISR', 5n)
    // @ts-expect-error 128 bits are bytes
    vcpu.set('VR0', 5n)
    // @ts-expect-error an array is not bytes
    vcpu.set('VR0', [1, 2, 3])
    // @ts-expect-error a string is not a number
    vcpu.set('TB_OFFSET', '5')
    // @ts-expect-error a value is needed
    vcpu.set('TB_OFFSET')
    // @ts-expect-error a letter is missing
    vcpu.set('TB_OFSET', 5n)
  })
})

describe('has', () => {
  it('says yes or no for a register of the table', () => {
    expectTypeOf(vcpu.has('TB_OFFSET')).toEqualTypeOf<boolean>()
    // @ts-expect-error a letter is missing
    vcpu.has('TB_OFSET')
  })
})

describe('read', () => {
  it('gives each register its own type', () => {
    expectTypeOf(vcpu.read(['TB_OFFSET', 'DSISR'])).toEqualTypeOf<{
      TB_OFFSET: bigint
      DSISR: number
    }>()
    expectTypeOf(vcpu.read(['VR0']).VR0).toEqualTypeOf<Uint8Array>()
    expectTypeOf(vcpu.read(['TB_OFFSET', 'VTB'] as const).VTB).toEqualTypeOf<bigint>()
  })

  it('takes no name that is misspelt, and gives no register that was not asked for', () => {
    // @ts-expect-error a letter is missing
    vcpu.read(['TB_OFFSET', 'DSISRR'])
    // @ts-expect-error DSISR was not asked for
    expectTypeOf(vcpu.read(['TB_OFFSET']).DSISR).toBeNever()
    // @ts-expect-error one name is no list
    vcpu.read('TB_OFFSET')
  })
})

describe('write', () => {
  it('takes for each register its own type', () => {
    expectTypeOf<Parameters<typeof vcpu.write>[0]>().toEqualTypeOf<RegisterValues>()
    vcpu.write({ TB_OFFSET: 5n, DSISR: 1, VR0: new Uint8Array(16) })
    vcpu.write(vcpu.read(['TB_OFFSET', 'DSISR']))
    vcpu.write(vcpu.snapshot())
  })

  it('takes no other type, and no name that is misspelt', () => {
    // @ts-expect-error 64 bits are a bigint
    vcpu.write({ TB_OFFSET: 5 })
    // @ts-expect-error 32 bits are a number
    vcpu.write({ DSISR: 5n })
    // @ts-expect-error a letter is missing
    vcpu.write({ TB_OFSET: 5n })
    // @ts-expect-error a register that is named must have a value
    vcpu.write({ TB_OFFSET: undefined })
  })
})

describe('getRaw and setRaw', () => {
  it('take a bigint, and bytes', () => {
    expectTypeOf(vcpu.getRaw(1n)).toEqualTypeOf<Uint8Array>()
    vcpu.setRaw(1n, new Uint8Array(8))
    // @ts-expect-error a number would lose the low bits of the id
    vcpu.getRaw(156)
    // @ts-expect-error a value is bytes
    vcpu.setRaw(1n, 5n)
    // @ts-expect-error a name is for get
    vcpu.getRaw('TB_OFFSET')
  })
})

describe('where a vCPU comes from', () => {
  it('is a VM of a host, or a file descriptor', () => {
    expectTypeOf(host.createVm().createVcpu(0)).toEqualTypeOf<Vcpu>()
    expectTypeOf(host.vcpu(5, 0)).toEqualTypeOf<Vcpu>()
    // @ts-expect-error the id is needed too
    host.vcpu(5)
  })

  it('is a host of a backend that there is', () => {
    expectTypeOf(openHost).returns.toEqualTypeOf<Host>()
    expectTypeOf(openHost({ backend: 'kvm', device: '/dev/kvm' })).toEqualTypeOf<Host>()
    // @ts-expect-error there is no such backend
    openHost({ backend: 'qemu' })
    // @ts-expect-error a letter is wrong
    openHost({ backand: 'kvm' })
  })
})
