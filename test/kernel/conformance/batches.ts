import { expect } from 'vitest'
import { OneRegBatch } from '../../../lib/kernel/batch.ts'
import { registers } from '../../../lib/registers.ts'
import type { RegisterName } from '../../../lib/registers.ts'
import { fromBytes, outcome, toBytes } from './rig.ts'
import type { Check } from './rig.ts'

interface Entry {
  readonly fd: number
  readonly register: RegisterName
  readonly value?: bigint
}

function batchOf(entries: readonly Entry[]): OneRegBatch {
  const batch = new OneRegBatch(entries.length)
  entries.forEach(({ fd, register, value = 0n }, index) => {
    const { id, width } = registers[register]
    batch.fds[index] = fd
    batch.ids[index] = id
    batch.bytes(index, width / 8).set(toBytes(value, width / 8))
  })
  // So that a result that is left out cannot be taken for a success.
  batch.results.fill(77)
  return batch
}

function results({ results }: OneRegBatch): (number | string)[] {
  return [...results].map(outcome)
}

export function checkBatches(check: Check): void {
  check('read many registers of many vCPUs', (rig) => {
    const vm = rig.vm()
    const [zero, one] = [rig.vcpu(vm, 0), rig.vcpu(vm, 1)]
    rig.set(zero, 'DAR', 0x1111_2222_3333_4444n)
    rig.set(one, 'DSISR', 0x5555_6666n)
    rig.set(one, 'VR7', 0x0fed_cba9_8765_4321_1234_5678_9abc_def0n)
    const batch = batchOf([
      { fd: zero, register: 'DAR' },
      { fd: one, register: 'DSISR' },
      { fd: one, register: 'VR7' },
      { fd: one, register: 'DAR' },
    ])
    expect(rig.kernel.getOneRegs(batch)).toBe(0)
    expect(results(batch)).toEqual([0, 0, 0, 0])
    expect(batch.get64(0)).toBe(0x1111_2222_3333_4444n)
    expect(batch.get32(1)).toBe(0x5555_6666)
    expect(fromBytes(batch.bytes(2, 16))).toBe(0x0fed_cba9_8765_4321_1234_5678_9abc_def0n)
    expect(batch.get64(3)).toBe(0n)
  })

  check('write many registers of many vCPUs', (rig) => {
    const vm = rig.vm()
    const [zero, one] = [rig.vcpu(vm, 0), rig.vcpu(vm, 1)]
    const batch = batchOf([
      { fd: zero, register: 'DAR', value: 1n },
      { fd: one, register: 'DAR', value: 2n },
      { fd: one, register: 'DSISR', value: 3n },
      { fd: zero, register: 'VSR9', value: 4n << 64n },
      { fd: zero, register: 'TB_OFFSET', value: 5n },
    ])
    expect(rig.kernel.setOneRegs(batch)).toBe(0)
    expect(results(batch)).toEqual([0, 0, 0, 0, 0])
    expect(rig.get(zero, 'DAR')).toBe(1n)
    expect(rig.get(one, 'DAR')).toBe(2n)
    expect(rig.get(one, 'DSISR')).toBe(3n)
    expect(rig.get(zero, 'VSR9')).toBe(4n << 64n)
    expect(rig.get(zero, 'TB_OFFSET')).toBe(1n << 24n)
  })

  check('go from the first entry to the last', (rig) => {
    const vcpu = rig.vcpu()
    const batch = batchOf([
      { fd: vcpu, register: 'DAR', value: 1n },
      { fd: vcpu, register: 'TB_OFFSET', value: 1n },
      { fd: vcpu, register: 'DEC_EXPIRY', value: 9n },
      { fd: vcpu, register: 'DAR', value: 2n },
    ])
    rig.kernel.setOneRegs(batch)
    expect(rig.get(vcpu, 'DAR')).toBe(2n)
    expect(rig.get(vcpu, 'DEC_EXPIRY')).toBe(9n)
  })

  const wrong = [0, 'EBADF', 'ENOTTY', 'ENOTTY', 'EINVAL', 'EBADF', 'EINVAL', 'ENXIO', 0]

  check('read the entries behind those that fail, whose values stay as they were', (rig) => {
    const vm = rig.vm()
    const vcpu = rig.vcpu(vm)
    const none = rig.null()
    rig.set(vcpu, 'DAR', 5n)
    const batch = batchOf([
      { fd: vcpu, register: 'DAR' },
      { fd: rig.closed(), register: 'DAR', value: 6n },
      { fd: none, register: 'DAR', value: 6n },
      { fd: vm, register: 'DAR', value: 6n },
      { fd: rig.kvm, register: 'DAR', value: 6n },
      { fd: -1, register: 'DAR', value: 6n },
      { fd: vcpu, register: 'MAS0', value: 6n },
      { fd: vcpu, register: 'ICP_STATE', value: 6n },
      { fd: vcpu, register: 'DAR' },
    ])
    expect(rig.kernel.getOneRegs(batch)).toBe(-9)
    expect(results(batch)).toEqual(wrong)
    expect(wrong.map((_, index) => batch.get64(index))).toEqual([
      5n,
      6n,
      6n,
      6n,
      6n,
      6n,
      6n,
      6n,
      5n,
    ])
  })

  check('write the entries behind those that fail', (rig) => {
    const vm = rig.vm()
    const vcpu = rig.vcpu(vm)
    const none = rig.null()
    const batch = batchOf([
      { fd: vcpu, register: 'DAR', value: 5n },
      { fd: rig.closed(), register: 'DAR', value: 6n },
      { fd: none, register: 'DAR', value: 6n },
      { fd: vm, register: 'DAR', value: 6n },
      { fd: rig.kvm, register: 'DAR', value: 6n },
      { fd: -1, register: 'DAR', value: 6n },
      { fd: vcpu, register: 'MAS0', value: 6n },
      { fd: vcpu, register: 'ICP_STATE', value: 6n },
      { fd: vcpu, register: 'DSCR', value: 7n },
    ])
    expect(rig.kernel.setOneRegs(batch)).toBe(-9)
    expect(results(batch)).toEqual(wrong)
    expect(rig.get(vcpu, 'DAR')).toBe(5n)
    expect(rig.get(vcpu, 'DSCR')).toBe(7n)
  })

  check('refuse a single value without stopping', (rig) => {
    const vcpu = rig.vcpu()
    const batch = batchOf([
      { fd: vcpu, register: 'VPA_ADDR', value: 1n },
      { fd: vcpu, register: 'VPA_ADDR', value: 128n },
      { fd: vcpu, register: 'HIOR', value: 1n },
    ])
    rig.kernel.setOneRegs(batch)
    expect(results(batch)).toEqual(['EINVAL', 0, 'EINVAL'])
    expect(rig.get(vcpu, 'VPA_ADDR')).toBe(128n)
  })

  check('make calls for the entries that are used', (rig) => {
    const vcpu = rig.vcpu()
    const batch = batchOf([
      { fd: vcpu, register: 'DAR', value: 5n },
      { fd: vcpu, register: 'DSCR', value: 6n },
      { fd: vcpu, register: 'AMR', value: 7n },
    ])
    batch.results.fill(77)
    batch.used = 2
    expect(rig.kernel.setOneRegs(batch)).toBe(0)
    expect([...batch.results]).toEqual([0, 0, 77])
    expect([rig.get(vcpu, 'DAR'), rig.get(vcpu, 'DSCR'), rig.get(vcpu, 'AMR')]).toEqual([
      5n,
      6n,
      0n,
    ])
    batch.used = 0
    batch.results.fill(77)
    expect(rig.kernel.getOneRegs(batch)).toBe(0)
    expect([...batch.results]).toEqual([77, 77, 77])
  })

  check('may be empty', ({ kernel }) => {
    expect(kernel.getOneRegs(new OneRegBatch(0))).toBe(0)
    expect(kernel.setOneRegs(new OneRegBatch(0))).toBe(0)
  })

  check('may be long', (rig) => {
    const vcpu = rig.vcpu()
    rig.set(vcpu, 'DAR', 5n)
    const entry: Entry = { fd: vcpu, register: 'DAR' }
    const batch = batchOf(Array.from({ length: 1000 }, () => entry))
    expect(rig.kernel.getOneRegs(batch)).toBe(0)
    expect(new Set(batch.results)).toEqual(new Set([0]))
    expect([0, 999].map((index) => batch.get64(index))).toEqual([5n, 5n])
  })
}
