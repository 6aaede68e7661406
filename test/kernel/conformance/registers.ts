import { expect } from 'vitest'
import { OneRegBatch } from '../../../lib/kernel/batch.ts'
import { registerNames, registers } from '../../../lib/registers.ts'
import type { RegisterName } from '../../../lib/registers.ts'
import { kept, measured, patterns, withoutDevice } from './measured.ts'
import type { Kind } from './measured.ts'
import { checkRules } from './rules.ts'
import { outcome } from './rig.ts'
import type { Check, Rig } from './rig.ts'

const otherIds: readonly [what: string, id: bigint, size: number][] = [
  ['that no register has', 0x1030_0000_0000_00ffn, 8],
  ['of index 0', 0x1030_0000_0000_0000n, 8],
  ['of TB_OFFSET with 32 bits', 0x1020_0000_0000_009cn, 4],
  ['of TB_OFFSET with 128 bits', 0x1040_0000_0000_009cn, 16],
  ['of DSISR with 64 bits', 0x1030_0000_0000_000dn, 8],
  ['of VR0 with 64 bits', 0x1030_0000_0000_0040n, 8],
  ['of TB_OFFSET with 8 bits', 0x1000_0000_0000_009cn, 1],
  ['of TB_OFFSET with 256 bits', 0x1050_0000_0000_009cn, 32],
  ['of TB_OFFSET with 2048 bits', 0x1080_0000_0000_009cn, 256],
  ["of the x86's timestamp counter", 0x2030_0002_0000_0010n, 8],
  ["of TB_OFFSET as another architecture's", 0x6030_0000_0000_009cn, 8],
  ["of TB_OFFSET as no architecture's", 0x0030_0000_0000_009cn, 8],
  ['of all ones, 32768 bytes wide', 0xffff_ffff_ffff_ffffn, 32768],
]

export function checkRegisters(check: Check, kind: Kind): void {
  const { absent, initial, readable, special } = measured(kind)
  const count = kind.linux === '6.1' ? 165 : 168

  check(`are ${count} of the table that can be read`, (rig) => {
    const names = [...readAll(rig, rig.vcpu()).keys()]
    expect(names).toHaveLength(count)
    expect(names).toEqual(readable)
  })

  check(`hold 0 in a new vCPU, but for ${Object.keys(initial).join(', ')}`, (rig) => {
    const vcpu = rig.vcpu()
    const held = readable.map((name) => [name, rig.get(vcpu, name)] as const)
    expect(Object.fromEntries(held.filter(([, value]) => value !== 0n))).toEqual(initial)
  })

  check('give EINVAL, read and written, where this KVM has none', (rig) => {
    const vcpu = rig.vcpu()
    const results = absent.map((name) => [name, rig.get(vcpu, name), rig.set(vcpu, name, 0n)])
    expect(results).toEqual(absent.map((name) => [name, 'EINVAL', 'EINVAL']))
    expect(absent).toEqual(expect.arrayContaining(['IAC1', 'MAS0', 'TM_GPR0', 'TM_VSR63']))
  })

  for (const name of withoutDevice) {
    check(`give ENXIO without the interrupt controller of ${name}`, (rig) => {
      const vcpu = rig.vcpu()
      expect(rig.get(vcpu, name)).toBe('ENXIO')
      expect(write(rig, vcpu, name)).toEqual(patterns.map(() => 'ENXIO'))
    })
  }

  for (const [what, id, size] of otherIds) {
    check(`give EINVAL for the id ${what}, and leave the buffer alone`, (rig) => {
      const vcpu = rig.vcpu()
      const bytes = new Uint8Array(size).fill(0xa5)
      expect(outcome(rig.kernel.getOneReg(vcpu, id, bytes))).toBe('EINVAL')
      expect(outcome(rig.kernel.setOneReg(vcpu, id, bytes))).toBe('EINVAL')
      expect(bytes).toEqual(new Uint8Array(size).fill(0xa5))
    })
  }

  check('keep every bit that is written, but for a few', (rig) => {
    const names = readable.filter((name) => !Object.hasOwn(special, name))
    expect(names).toHaveLength(count - Object.keys(special).length)
    const held = names.map((name) => [name, write(rig, rig.vcpu(), name)])
    expect(Object.fromEntries(held)).toEqual(
      Object.fromEntries(names.map((name) => [name, kept(name)])),
    )
  })

  for (const [name, outcomes] of Object.entries(special)) {
    check(`make of ${name} what the kernel was seen to make of it`, (rig) => {
      expect(write(rig, rig.vcpu(), name as RegisterName)).toEqual(outcomes)
    })
  }

  check(
    'do not touch one another nor other vCPUs, but for FPRn and VSRn, DEC_EXPIRY, and PTCR',
    (rig) => {
      const own = new Map<RegisterName, RegisterName[]>()
      const others = new Map<RegisterName, RegisterName[]>()
      for (const name of readable) {
        const vm = rig.vm()
        const [vcpu, other] = [rig.vcpu(vm, 0), rig.vcpu(vm, 1)]
        const before = [readAll(rig, vcpu), readAll(rig, other)] as const
        rig.set(vcpu, name, patterns[1])
        own.set(name, differences(before[0], readAll(rig, vcpu)).filter(isNot(name)))
        others.set(name, differences(before[1], readAll(rig, other)))
        for (const fd of [other, vcpu, vm]) rig.closeFile(fd)
      }
      const vsx = Array.from({ length: 32 }, (_, n) => [
        [`FPR${n}`, [`VSR${n}`]],
        [`VSR${n}`, [`FPR${n}`]],
      ]).flat()
      expect(withSome(own)).toEqual(Object.fromEntries([...vsx, ['TB_OFFSET', ['DEC_EXPIRY']]]))
      expect(withSome(others)).toEqual({ PTCR: ['PTCR'] })
    },
    60_000,
  )

  checkRules(check, kind)
}

/** The values of a register after writing each pattern, or the errors. */
function write(rig: Rig, vcpu: number, name: RegisterName): (bigint | string)[] {
  return patterns.map((pattern) => rig.setAndGet(vcpu, name, pattern))
}

/** Every register that can be read, in hexadecimal. */
function readAll(rig: Rig, vcpu: number): Map<RegisterName, string> {
  const batch = new OneRegBatch(registerNames.length)
  batch.fds.fill(vcpu)
  batch.ids.set(registerNames.map((name) => registers[name].id))
  rig.kernel.getOneRegs(batch)
  const all = registerNames.map((name, index): [RegisterName, string] => [
    name,
    Buffer.from(batch.bytes(index, registers[name].width / 8)).toString('hex'),
  ])
  return new Map(all.filter((_, index) => batch.results[index] === 0))
}

function differences(
  before: ReadonlyMap<RegisterName, string>,
  after: ReadonlyMap<RegisterName, string>,
): RegisterName[] {
  return [...after.keys()].filter((name) => before.get(name) !== after.get(name))
}

function isNot(name: RegisterName): (other: RegisterName) => boolean {
  return (other) => other !== name
}

function withSome(
  map: ReadonlyMap<RegisterName, RegisterName[]>,
): Record<string, readonly RegisterName[]> {
  return Object.fromEntries([...map].filter(([, names]) => names.length > 0))
}
