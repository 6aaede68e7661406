import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { readTimebaseFrequency } from '../../lib/kernel/timebase-frequency.ts'

describe('readTimebaseFrequency', () => {
  let proc: string

  beforeEach(() => {
    proc = mkdtempSync(path.join(tmpdir(), 'kvm-ppc-onereg-proc-'))
  })

  afterEach(() => {
    rmSync(proc, { recursive: true })
  })

  /** Gives a processor of the device tree a timebase-frequency. */
  function deviceTree(node: string, bytes: readonly number[] | string): void {
    const folder = path.join(proc, 'device-tree', 'cpus', node)
    mkdirSync(folder, { recursive: true })
    const content = typeof bytes === 'string' ? bytes : Uint8Array.from(bytes)
    writeFileSync(path.join(folder, 'timebase-frequency'), content)
  }

  function cpuinfo(...lines: string[]): void {
    writeFileSync(path.join(proc, 'cpuinfo'), lines.join('\n'))
  }

  it('reads 4 big-endian bytes of the device tree', () => {
    deviceTree('PowerPC,POWER9@0', [0x1e, 0x84, 0x80, 0x00])
    expect(readTimebaseFrequency(proc)).toBe(512_000_000n)
  })

  it('reads 4 bytes without a sign', () => {
    deviceTree('PowerPC,POWER9@0', [0xff, 0xff, 0xff, 0xff])
    expect(readTimebaseFrequency(proc)).toBe(4_294_967_295n)
  })

  it('reads 8 big-endian bytes of the device tree', () => {
    deviceTree('PowerPC,POWER9@0', [0, 0, 0, 0, 0x1e, 0x84, 0x80, 0x00])
    expect(readTimebaseFrequency(proc)).toBe(512_000_000n)
    deviceTree('PowerPC,POWER9@0', [0, 0, 0, 1, 0, 0, 0, 0])
    expect(readTimebaseFrequency(proc)).toBe(1n << 32n)
  })

  it('finds the processors among the other entries of the folder', () => {
    const cpus = path.join(proc, 'device-tree', 'cpus')
    mkdirSync(path.join(cpus, 'l2-cache@2010'), { recursive: true })
    writeFileSync(path.join(cpus, '#address-cells'), Uint8Array.of(0, 0, 0, 1))
    writeFileSync(path.join(cpus, 'name'), 'cpus\0')
    deviceTree('PowerPC,POWER9@8', [0x1e, 0x84, 0x80, 0x00])
    expect(readTimebaseFrequency(proc)).toBe(512_000_000n)
  })

  it('reads /proc/cpuinfo where there is no device tree', () => {
    cpuinfo(
      'processor\t: 0',
      'cpu\t\t: POWER9 (architected), altivec supported',
      'clock\t\t: 2900.000000MHz',
      'revision\t: 2.2 (pvr 004e 1202)',
      '',
      'timebase\t: 512000000',
      'platform\t: pSeries',
      'machine\t\t: CHRP IBM pSeries (emulated by qemu)',
      '',
    )
    expect(readTimebaseFrequency(proc)).toBe(512_000_000n)
  })

  it('reads /proc/cpuinfo where the line is the last one, without an end', () => {
    cpuinfo('processor\t: 0', 'timebase : 33333333')
    expect(readTimebaseFrequency(proc)).toBe(33_333_333n)
  })

  it('believes the device tree where both are there', () => {
    deviceTree('PowerPC,POWER9@0', [0x1e, 0x84, 0x80, 0x00])
    cpuinfo('timebase\t: 33333333')
    expect(readTimebaseFrequency(proc)).toBe(512_000_000n)
  })

  it('is undefined where neither is there', () => {
    expect(readTimebaseFrequency(proc)).toBeUndefined()
    expect(readTimebaseFrequency(path.join(proc, 'nonexistent'))).toBeUndefined()
  })

  it('is undefined for the /proc/cpuinfo of an x86', () => {
    cpuinfo(
      'processor\t: 0',
      'model name\t: Some Processor',
      'cpu MHz\t\t: 2900.000',
      'flags : tsc',
    )
    expect(readTimebaseFrequency(proc)).toBeUndefined()
  })

  it.each<[string, number[] | string]>([
    ['no bytes', []],
    ['3 bytes', [0x1e, 0x84, 0x80]],
    ['5 bytes', [0, 0x1e, 0x84, 0x80, 0]],
    ['16 bytes', new Array<number>(16).fill(1)],
    ['text', '512000000\n'],
    ['0 in 4 bytes', [0, 0, 0, 0]],
    ['0 in 8 bytes', [0, 0, 0, 0, 0, 0, 0, 0]],
  ])('takes %s in the device tree for nothing', (_what, bytes) => {
    deviceTree('PowerPC,POWER9@0', bytes)
    expect(readTimebaseFrequency(proc)).toBeUndefined()
    cpuinfo('timebase\t: 33333333')
    expect(readTimebaseFrequency(proc)).toBe(33_333_333n)
  })

  it('goes on to the next processor where one has nonsense', () => {
    deviceTree('PowerPC,POWER9@0', [1, 2, 3])
    deviceTree('PowerPC,POWER9@8', [0x1e, 0x84, 0x80, 0x00])
    expect(readTimebaseFrequency(proc)).toBe(512_000_000n)
  })

  it.each([
    'timebase\t:',
    'timebase\t: fast',
    'timebase\t: -512000000',
    'timebase\t: 512.0',
    'timebase\t: 0x1e848000',
    'timebase\t: 0',
    'timebase 512000000',
    'my timebase\t: 512000000',
    'timebase frequency\t: 512000000',
  ])('takes %j in /proc/cpuinfo for nothing', (line) => {
    cpuinfo('processor\t: 0', line, 'platform\t: pSeries', '')
    expect(readTimebaseFrequency(proc)).toBeUndefined()
  })

  it('is undefined where files are folders', () => {
    mkdirSync(path.join(proc, 'cpuinfo'))
    mkdirSync(path.join(proc, 'device-tree', 'cpus', 'cpu@0', 'timebase-frequency'), {
      recursive: true,
    })
    expect(readTimebaseFrequency(proc)).toBeUndefined()
  })
})
