import { expect } from 'vitest'
import { registers } from '../../../lib/registers.ts'
import type { RegisterName } from '../../../lib/registers.ts'
import { measured } from './measured.ts'
import type { Kind } from './measured.ts'
import type { Check, Rig } from './rig.ts'

const DPFD = 0x0070_0000_0000_0000n
const AIL_2 = 0x0080_0000n
const AIL_3 = 0x0180_0000n

/** Two 64-bit words as one value of 128 bits: an address and a length. */
function area(address: bigint, length: bigint): bigint {
  return address | (length << 64n)
}

/** The rules of single registers, each on a vCPU of its own. */
export function checkRules(check: Check, kind: Kind): void {
  const { initial, special, lpcr, lpcrHigh, lpcrBits, ail3 } = measured(kind)
  const { archCompat, archCompatLies } = measured(kind)

  check('of 128 bits are the bytes as they were given', (rig) => {
    const vcpu = rig.vcpu()
    const bytes = Uint8Array.from({ length: 16 }, (_, index) => index + 1)
    for (const name of ['VR0', 'VR31', 'VSR0', 'VSR31'] as const) {
      const { id } = registers[name]
      const read = new Uint8Array(16)
      expect(rig.kernel.setOneReg(vcpu, id, bytes)).toBe(0)
      expect(rig.kernel.getOneReg(vcpu, id, read)).toBe(0)
      expect(read).toEqual(bytes)
    }
  })

  check('of 32 and 64 bits are in the byte order of the host', (rig) => {
    const vcpu = rig.vcpu()
    rig.kernel.setOneReg(vcpu, registers.DAR.id, new Uint8Array(BigUint64Array.of(5n).buffer))
    rig.kernel.setOneReg(vcpu, registers.DSISR.id, new Uint8Array(Uint32Array.of(7).buffer))
    const [dar, dsisr] = [new BigUint64Array(1), new Uint32Array(1)]
    rig.kernel.getOneReg(vcpu, registers.DAR.id, new Uint8Array(dar.buffer))
    rig.kernel.getOneReg(vcpu, registers.DSISR.id, new Uint8Array(dsisr.buffer))
    expect([dar[0], dsisr[0]]).toEqual([5n, 7])
    expect([rig.get(vcpu, 'DAR'), rig.get(vcpu, 'DSISR')]).toEqual([5n, 7n])
  })

  for (const n of [0, 15, 31]) {
    const fpr = `FPR${n}` as RegisterName
    const vsr = `VSR${n}` as RegisterName
    check(`have ${fpr} as the high half of ${vsr}`, (rig) => {
      const vcpu = rig.vcpu()
      rig.set(vcpu, vsr, area(0x1111n, 0x2222n))
      expect(rig.get(vcpu, fpr)).toBe(0x2222n)
      rig.set(vcpu, fpr, 0x3333n)
      expect(rig.get(vcpu, vsr)).toBe(area(0x1111n, 0x3333n))
    })
  }

  check(
    `let LPCR_64 change its bits ${lpcrBits.join(', ')} one by one, and keep the rest`,
    (rig) => {
      const vcpu = rig.vcpu()
      const base = lpcrHigh | lpcr
      const changing = new Map<number, bigint>()
      for (let bit = 0; bit < 64; bit++) {
        const held = rig.setAndGet(vcpu, 'LPCR_64', 1n << BigInt(bit))
        if (held !== base) changing.set(bit, BigInt(held))
      }
      expect(changing).toEqual(new Map(lpcrBits.map((bit) => [bit, base | (1n << BigInt(bit))])))
    },
  )

  check(`let LPCR_64 have ${ail3 ? 'AIL 3, but not AIL 2' : 'no AIL'}`, (rig) => {
    const vcpu = rig.vcpu()
    const base = lpcrHigh | lpcr
    expect(rig.setAndGet(vcpu, 'LPCR_64', AIL_3)).toBe(ail3 ? base | AIL_3 : base)
    expect(rig.setAndGet(vcpu, 'LPCR_64', AIL_2)).toBe(base)
  })

  check('let LPCR change the lower half only', (rig) => {
    const vcpu = rig.vcpu()
    rig.set(vcpu, 'LPCR_64', ~0n)
    expect(rig.setAndGet(vcpu, 'LPCR', 0n)).toBe(lpcr)
    expect(rig.get(vcpu, 'LPCR_64')).toBe(lpcrHigh | DPFD | lpcr)
    rig.set(vcpu, 'LPCR', 0xffff_ffffn)
    expect(rig.get(vcpu, 'LPCR_64')).toBe(special.LPCR_64?.[0])
  })

  check('keep LPCR to its vCPU, also from one that is made later', (rig) => {
    const vm = rig.vm()
    const [vcpu, other] = [rig.vcpu(vm, 0), rig.vcpu(vm, 1)]
    rig.set(vcpu, 'LPCR_64', ~0n)
    expect(rig.get(other, 'LPCR_64')).toBe(initial.LPCR_64)
    expect(rig.get(rig.vcpu(vm, 5), 'LPCR_64')).toBe(initial.LPCR_64)
  })

  check('share PTCR among the vCPUs of a VM, also with one that is made later', (rig) => {
    const vm = rig.vm()
    const [vcpu, other] = [rig.vcpu(vm, 0), rig.vcpu(vm, 8)]
    rig.set(vcpu, 'PTCR', 0x7700_0001n)
    expect(rig.get(other, 'PTCR')).toBe(0x7700_0001n)
    expect(rig.get(rig.vcpu(vm, 9), 'PTCR')).toBe(0x7700_0001n)
    expect(rig.get(rig.vcpu(), 'PTCR')).toBe(0n)
  })

  check(`let ARCH_COMPAT be 0x0f00000n for n of ${Object.keys(archCompat).join(', ')}`, (rig) => {
    const vcpu = rig.vcpu()
    const taken = archCompatLies ? 'EINVAL' : 0
    let held = 0n
    for (let n = 0; n < 16; n++) {
      const result = rig.set(vcpu, 'ARCH_COMPAT', 0x0f00_0000n | BigInt(n))
      expect([n, result]).toEqual([n, archCompat[n] === undefined ? 'EINVAL' : taken])
      held = archCompat[n] ?? held
      expect([n, rig.get(vcpu, 'ARCH_COMPAT')]).toEqual([n, held])
    }
    expect(held).not.toBe(0n)
    expect(rig.set(vcpu, 'ARCH_COMPAT', 0n)).toBe(taken)
    expect(rig.get(vcpu, 'ARCH_COMPAT')).toBe(0n)
  })

  check('let PSSCR change its bits 0 to 9 and 60 to 63', (rig) => {
    const vcpu = rig.vcpu()
    const changing = bits().filter((bit) => rig.setAndGet(vcpu, 'PSSCR', 1n << bit) !== 0n)
    expect(changing).toEqual(bits().filter((bit) => bit < 10n || bit >= 60n))
  })

  check('do not let CIABR ask for the hypervisor: 3 in its low bits becomes 0', (rig) => {
    const vcpu = rig.vcpu()
    expect([0n, 1n, 2n, 3n, 7n].map((value) => rig.setAndGet(vcpu, 'CIABR', value))).toEqual([
      0n,
      1n,
      2n,
      0n,
      4n,
    ])
  })

  check('have bit 0 of DPDES alone, but for POWER8, whose cores have several threads', (rig) => {
    const vcpu = rig.vcpu()
    const held = [2n, 3n].map((value) => rig.setAndGet(vcpu, 'DPDES', value))
    expect(held).toEqual(kind.machine.endsWith('POWER8') ? [2n, 3n] : [0n, 1n])
  })

  check('take a VPA_ADDR of whole cache lines of 128 bytes', (rig) => {
    const vcpu = rig.vcpu()
    for (let address = 1n; address < 128n; address <<= 1n) {
      expect(rig.set(vcpu, 'VPA_ADDR', address)).toBe('EINVAL')
    }
    for (const address of [128n, 256n, 2048n, 0n, 0xffff_ffff_ffff_ff80n]) {
      expect(rig.setAndGet(vcpu, 'VPA_ADDR', address)).toBe(address)
    }
    expect(rig.set(vcpu, 'VPA_ADDR', 1n)).toBe('EINVAL')
    expect(rig.get(vcpu, 'VPA_ADDR')).toBe(0xffff_ffff_ffff_ff80n)
  })

  const SLB_OUTCOMES: [address: bigint, length: bigint, kept: bigint | 'EINVAL'][] = [
    [0x1000n, 0x280n, area(0x1000n, 0x280n)],
    [0x1001n, 0x280n, 'EINVAL'],
    [0x1080n, 0n, area(0x1080n, 0n)],
    [0n, 5n, 0n],
    [0x1000n, 0xffff_ffff_ffff_ffffn, area(0x1000n, 0xffff_ffff_ffff_ffffn)],
    [0x1000n, 0x123_4567_89abn, area(0x1000n, 0x123_4567_89abn)],
  ]
  check('take a VPA_SLB in whole cache lines, of any length, once there is a VPA', (rig) => {
    checkAreas(rig, 'VPA_SLB', SLB_OUTCOMES)
  })

  const DTL_OUTCOMES: [address: bigint, length: bigint, kept: bigint | 'EINVAL'][] = [
    [0x1000n, 0n, 'EINVAL'],
    [0x1000n, 47n, 'EINVAL'],
    [0x1000n, 48n, area(0x1000n, 48n)],
    [0x1000n, 100n, area(0x1000n, 96n)],
    [0x1001n, 100n, 'EINVAL'],
    [0n, 100n, 0n],
    [0x1000n, 0x10_0000_0000n, area(0x1000n, 0xf_ffff_fff0n)],
    [0x2000n, 0x1_ffff_ffffn, area(0x2000n, 0x1_ffff_ffe0n)],
    [0x2000n, 0xffff_ffffn, area(0x2000n, 0xffff_fff0n)],
    [0x2000n, 0xffff_ffff_ffff_ffffn, area(0x2000n, 0xffff_ffff_ffff_fff0n)],
    [0x2000n, 0x1_0000_0010n, area(0x2000n, 0xffff_fff0n)],
  ]
  check('take a VPA_DTL in whole entries of 48 bytes, once there is a VPA', (rig) => {
    checkAreas(rig, 'VPA_DTL', DTL_OUTCOMES)
  })

  check('keep VPA_ADDR while VPA_SLB or VPA_DTL hangs on it', (rig) => {
    const vcpu = rig.vcpu()
    rig.set(vcpu, 'VPA_ADDR', 0x1000n)
    rig.set(vcpu, 'VPA_SLB', area(0x2000n, 0x280n))
    rig.set(vcpu, 'VPA_DTL', area(0x3000n, 96n))
    expect(rig.set(vcpu, 'VPA_ADDR', 0n)).toBe('EINVAL')
    expect(rig.set(vcpu, 'VPA_DTL', 0n)).toBe(0)
    expect(rig.set(vcpu, 'VPA_ADDR', 0n)).toBe('EINVAL')
    expect(rig.get(vcpu, 'VPA_ADDR')).toBe(0x1000n)
    expect(rig.set(vcpu, 'VPA_SLB', 0n)).toBe(0)
    expect(rig.set(vcpu, 'VPA_DTL', area(0x3000n, 96n))).toBe(0)
    expect(rig.set(vcpu, 'VPA_ADDR', 0n)).toBe('EINVAL')
    expect(rig.set(vcpu, 'VPA_DTL', 0n)).toBe(0)
    expect(rig.setAndGet(vcpu, 'VPA_ADDR', 0n)).toBe(0n)
  })

  check('refuse for DEBUG_INST even the value that it holds', (rig) => {
    const vcpu = rig.vcpu()
    expect(rig.set(vcpu, 'DEBUG_INST', 0x00dd_dd00n)).toBe('EINVAL')
    expect(rig.get(vcpu, 'DEBUG_INST')).toBe(0x00dd_dd00n)
  })
}

/** Writes areas one after the other; a refused one leaves what was there before. */
function checkAreas(
  rig: Rig,
  name: 'VPA_SLB' | 'VPA_DTL',
  outcomes: readonly [address: bigint, length: bigint, kept: bigint | 'EINVAL'][],
): void {
  const vcpu = rig.vcpu()
  expect(rig.set(vcpu, name, area(0x1000n, 96n))).toBe('EINVAL')
  expect(rig.setAndGet(vcpu, name, 0n)).toBe(0n)
  rig.set(vcpu, 'VPA_ADDR', 0x1000n)
  let before = 0n
  for (const [address, length, kept] of outcomes) {
    const result = rig.set(vcpu, name, area(address, length))
    expect([address, length, result]).toEqual([address, length, kept === 'EINVAL' ? kept : 0])
    if (kept !== 'EINVAL') before = kept
    expect([address, length, rig.get(vcpu, name)]).toEqual([address, length, before])
  }
}

function bits(): bigint[] {
  return Array.from({ length: 64 }, (_, bit) => BigInt(bit))
}
