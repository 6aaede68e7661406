import { describe, expect, test } from 'vitest'
import {
  checkKernel,
  checkWire,
  inRealTime,
  machine,
  machineNames,
  qemuArguments,
  runsGuests,
  wired,
} from '../lib/machine.ts'

const start = { image: 'vmlinux', initrd: 'initrd', memory: '3G', devices: [] }
const argumentsOf = (...given: Parameters<typeof machine>): string =>
  qemuArguments(machine(...given), start).join(' ')

describe('a machine', () => {
  test.each(machineNames)('%s has a processor that is chosen for it', (name) => {
    expect(machine(name).title).toMatch(new RegExp(`^${name} POWER\\d+$`))
    expect(argumentsOf(name)).toMatch(/ -cpu POWER\d+ /)
  })

  test('papr offers the interface of PowerVM, and counts instructions', () => {
    expect(argumentsOf('papr')).toContain('-M pseries,cap-nested-papr=true,x-vof=on -cpu POWER10')
    expect(argumentsOf('papr', 'POWER11')).toContain(' -cpu POWER11 ')
    expect(argumentsOf('papr')).toContain('-icount shift=0,sleep=off -smp 1')
    expect(qemuArguments(inRealTime(machine('papr')), start)).not.toContain('-icount')
    expect(argumentsOf('pseries')).toContain('cap-nested-hv=true')
    expect(argumentsOf('pseries')).not.toContain('-icount')
  })

  test('has the title of another if it counts instructions', () => {
    expect(machine('pseries', undefined, true).title).toBe('pseries POWER9 counting instructions')
    expect(machine('papr', undefined, true)).toEqual(machine('papr'))
  })

  test('has its wire as a second serial line, on bare metal as a virtio console, which needs Linux 6.12', () => {
    const deviceOf = (name: (typeof machineNames)[number]): string | undefined =>
      wired(machine(name), '/wire', 'calls').devices?.at(-2)
    expect([deviceOf('pseries'), deviceOf('powernv10')]).toEqual(['-serial', '-device'])
    expect(() => {
      checkWire(machine('powernv9'), '6.1')
    }).toThrow('Linux 6.1 has no wire on powernv9 POWER9')
    checkWire(machine('powernv9'), '7.2')
    checkWire(machine('pseries'), '6.1')
  })

  test.each([
    ['papr', 'POWER9', 'papr has the processors POWER10 and POWER11'],
    ['pseries', 'POWER11', 'pseries has the processors POWER9 and POWER10'],
    ['powernv9', 'POWER9', '--cpu is for pseries and papr; powernv9 is a POWER9'],
  ] as const)('%s is not made with %s', (name, cpu, message) => {
    expect(() => machine(name, cpu)).toThrow(message)
  })
})

test('Linux 6.1 has no KVM on papr, and the error says which have', () => {
  expect(runsGuests(machine('papr'), '6.12')).toBe(true)
  expect(runsGuests(machine('papr'), '7.2-64k')).toBe(true)
  expect(runsGuests(machine('pseries'), '6.1')).toBe(true)
  expect(() => {
    checkKernel(machine('papr'), '6.1')
  }).toThrow('Linux 6.1 has no KVM on papr POWER10: that is since Linux 6.7')
})
