import { describe, expect, it } from 'vitest'
import { OneRegBatch } from '../../lib/kernel/batch.ts'
import { differenceOfClocks } from '../../lib/kernel/software/clock.ts'
import { SoftwareKernel } from '../../lib/kernel/software/kernel.ts'
import type { SoftwareKernelOptions } from '../../lib/kernel/software/kernel.ts'
import { registers } from '../../lib/registers.ts'
import { errorOf } from '../support/error-of.ts'

const SECOND = 1_000_000_000n
const TB_OFFSET = registers.TB_OFFSET.id
const EBADF = -9
const EINVAL = -22

/** A time that the test moves: ns. */
class Time {
  now = 0n
  readonly read = (): bigint => this.now
}

/** What a kernel's sample tells, and what its clock does. */
function sampleOf(kernel: SoftwareKernel): [timebase: bigint, timeOfDayNs: bigint] {
  const words = new BigUint64Array(3)
  expect(kernel.sample(words)).toBe(0)
  const [timebase = 0n, timeOfDay = 0n, halfWidth] = words
  expect(halfWidth).toBe(0n)
  return [timebase, BigInt.asIntN(64, timeOfDay)]
}

function kernelWithVcpu(options: SoftwareKernelOptions = {}): {
  kernel: SoftwareKernel
  vcpu: number
} {
  const kernel = new SoftwareKernel(options)
  const vcpu = kernel.createVcpu(kernel.createVm(kernel.open('/dev/kvm'), 0), 0)
  expect(vcpu).toBe(5)
  return { kernel, vcpu }
}

function get(kernel: SoftwareKernel, vcpu: number, id = TB_OFFSET): number {
  return kernel.getOneReg(vcpu, id, new Uint8Array(8))
}

describe('the clock', () => {
  it('stands still until the test moves the time', () => {
    const time = new Time()
    const kernel = new SoftwareKernel({ timebase: 7n, timeOfDayNs: 9n, time: time.read })
    expect([kernel.timebase(), kernel.timebase()]).toEqual([7n, 7n])
    expect(sampleOf(kernel)).toEqual([7n, 9n])
    time.now += SECOND
    expect(sampleOf(kernel)).toEqual([512_000_007n, SECOND + 9n])
    expect(kernel.timebase()).toBe(512_000_007n)
    expect(kernel.clock.timebase()).toBe(512_000_007n)
    expect(kernel.clock.sample()).toEqual({ timebase: 512_000_007n, timeOfDayNs: SECOND + 9n })
  })

  it("begins with this machine's wall clock, by the narrowest of eight readings", () => {
    // Each reading in ns of the monotonic clock, and the wall clock in ms in between.
    const readings: [before: bigint, wallMs: number, after: bigint][] = [
      [1_000n, 70_000, 9_000n],
      [10_000n, 60_000, 11_000n],
      [20_000n, 50_000, 20_010n],
      [30_000n, 40_000, 31_000n],
      [40_000n, 30_000, 49_000n],
      [50_000n, 20_000, 59_000n],
      [60_000n, 10_000, 69_000n],
      [70_000n, 5_000, 79_000n],
    ]
    const monotonic = readings.flatMap(([before, , after]) => [before, after])
    const wall = readings.map(([, wallMs]) => wallMs)
    const difference = differenceOfClocks(
      () => monotonic.shift() ?? 0n,
      () => wall.shift() ?? 0,
    )
    // At 20,005 ns it was 50,000 ms.
    expect(difference).toBe(50_000_000_000n - 20_005n)
    expect([monotonic, wall]).toEqual([[], []])
  })

  it.each<[what: string, options: object, said: string]>([
    ['0 Hz', { timebaseFrequency: 0n }, 'timebaseFrequency must be from 1 to 2^64 - 1, not 0n'],
    ['a time that does not pass', { time: 5n }, 'time must be a function, not 5n'],
  ])('refuses %s', (_what, options, said) => {
    expect(errorOf(() => new SoftwareKernel(options))).toMatchObject({ message: said })
  })

  it('does not care when the time began', () => {
    const time = new Time()
    time.now = 123_456_789n * SECOND
    const kernel = new SoftwareKernel({ timebase: 7n, timeOfDayNs: 9n, time: time.read })
    expect(sampleOf(kernel)).toEqual([7n, 9n])
  })

  it.each([
    [512_000_000n, 1n, 0n],
    [512_000_000n, 2n, 1n],
    [512_000_000n, 1_000n, 512n],
    [33_333_333n, SECOND, 33_333_333n],
    [33_333_333n, 100n, 3n],
    [1n, SECOND - 1n, 0n],
    [1n, SECOND, 1n],
    [4_294_967_295n, SECOND, 4_294_967_295n],
    [512_000_000n, 365n * 86_400n * SECOND, 365n * 86_400n * 512_000_000n],
  ])('counts whole ticks: at %d Hz in %d ns %d', (timebaseFrequency, ns, ticks) => {
    const time = new Time()
    const kernel = new SoftwareKernel({ timebaseFrequency, time: time.read })
    time.now += ns
    expect(kernel.timebase()).toBe(ticks)
  })

  it('loses no tick in many small steps', () => {
    const time = new Time()
    const kernel = new SoftwareKernel({ timebaseFrequency: 33_333_333n, time: time.read })
    for (let step = 0; step < 1000; step++) {
      time.now += 7n
      kernel.timebase()
    }
    expect(kernel.timebase()).toBe((7000n * 33_333_333n) / SECOND)
  })

  it('wraps from 2^64 - 1 to 0, as the register does', () => {
    const time = new Time()
    const timebase = (1n << 64n) - 512_000_000n
    const kernel = new SoftwareKernel({ timebase, time: time.read })
    time.now += SECOND - 2n
    expect(kernel.timebase()).toBe((1n << 64n) - 2n)
    time.now += 2n
    expect(kernel.timebase()).toBe(0n)
    expect(sampleOf(kernel)[0]).toBe(0n)
    time.now += SECOND
    expect(kernel.timebase()).toBe(512_000_000n)
  })

  it('keeps two hosts in step that share a time, each with its own origin', () => {
    const time = new Time()
    const one = new SoftwareKernel({ timebase: 5n, timeOfDayNs: 0n, time: time.read })
    const other = new SoftwareKernel({ timebase: 1n << 60n, timeOfDayNs: -9n, time: time.read })
    for (const step of [1n, 999n, SECOND, 3_600n * SECOND]) {
      time.now += step
      expect(other.timebase() - one.timebase()).toBe((1n << 60n) - 5n)
      expect(sampleOf(other)[1] - sampleOf(one)[1]).toBe(-9n)
    }
  })

  it('lets hosts that share a time run at frequencies of their own', () => {
    const time = new Time()
    const one = new SoftwareKernel({ time: time.read })
    const other = new SoftwareKernel({ timebaseFrequency: 1000n, time: time.read })
    time.now += 2n * SECOND
    expect([one.timebase(), other.timebase()]).toEqual([1_024_000_000n, 2_000n])
    expect([one.timebaseFrequency(), other.timebaseFrequency()]).toEqual([512_000_000n, 1000n])
  })

  it('sets the timebase alone', () => {
    const time = new Time()
    const kernel = new SoftwareKernel({ timeOfDayNs: 9n, time: time.read })
    time.now += SECOND
    kernel.clock.setTimebase((1n << 64n) - 1n)
    expect(sampleOf(kernel)).toEqual([(1n << 64n) - 1n, SECOND + 9n])
    time.now += SECOND
    expect(sampleOf(kernel)).toEqual([511_999_999n, 2n * SECOND + 9n])
  })

  it('steps the wall clock alone, forwards and back, also before 1970', () => {
    const time = new Time()
    const kernel = new SoftwareKernel({ timebase: 0n, timeOfDayNs: 9n, time: time.read })
    time.now += SECOND
    for (const ns of [5n, 1n << 62n, 0n, -1n, -(1n << 63n)]) {
      kernel.clock.setTimeOfDay(ns)
      expect(sampleOf(kernel)).toEqual([512_000_000n, ns])
    }
    kernel.clock.setTimeOfDay(-5n)
    time.now += 2n
    expect(sampleOf(kernel)[1]).toBe(-3n)
  })

  it('gives DEC_EXPIRY the timebase of the instant, modulo 2^64', () => {
    const time = new Time()
    const { kernel, vcpu } = kernelWithVcpu({ timebase: (1n << 64n) - 5n, time: time.read })
    kernel.setOneReg(vcpu, TB_OFFSET, new Uint8Array(BigUint64Array.of(1n).buffer))
    const expiry = new BigUint64Array(1)
    kernel.getOneReg(vcpu, registers.DEC_EXPIRY.id, new Uint8Array(expiry.buffer))
    expect(expiry[0]).toBe((1n << 24n) - 5n)
  })

  it('is this machine’s where the test gives none', () => {
    // Date.now() is in whole ms.
    const before = BigInt(Date.now() - 1) * 1_000_000n
    const kernel = new SoftwareKernel()
    const [timebase, timeOfDayNs] = sampleOf(kernel)
    expect(kernel.timebaseFrequency()).toBe(512_000_000n)
    expect(timeOfDayNs).toBeGreaterThanOrEqual(before)
    expect(timeOfDayNs - before).toBeLessThan(60n * SECOND)
    expect(timebase).toBeLessThan(60n * 512_000_000n)
  })
})

describe('the options', () => {
  it.each<[string, unknown]>([
    ['timebaseFrequency', 512e6],
    ['timebaseFrequency', '512000000'],
    ['timebaseFrequency', null],
    ['timebase', 0],
    ['timebase', null],
    ['timeOfDayNs', 0],
    ['timeOfDayNs', new Date(0)],
    ['time', 5n],
    ['time', null],
  ])('throw a TypeError that names %s when it is %o', (name, value) => {
    const error = errorOf(() => new SoftwareKernel({ [name]: value }))
    expect(error).toBeInstanceOf(TypeError)
    expect(error).toMatchObject({ code: 'ERR_INVALID_ARG_TYPE' })
    expect((error as Error).message).toMatch(new RegExp(`^${name} must be `))
  })

  it.each<[string, bigint]>([
    ['timebaseFrequency', 0n],
    ['timebaseFrequency', -1n],
    ['timebaseFrequency', 1n << 64n],
    ['timebase', -1n],
    ['timebase', 1n << 64n],
    ['timeOfDayNs', 1n << 63n],
    ['timeOfDayNs', -(1n << 63n) - 1n],
  ])('throw a RangeError that names %s when it is %d', (name, value) => {
    const error = errorOf(() => new SoftwareKernel({ [name]: value }))
    expect(error).toBeInstanceOf(RangeError)
    expect(error).toMatchObject({ code: 'ERR_OUT_OF_RANGE' })
    expect((error as Error).message).toMatch(new RegExp(`^${name} must be `))
  })

  it('have a core with a thread or more', () => {
    const error = errorOf(() => new SoftwareKernel({ threadsPerCore: 0 }))
    expect(error).toMatchObject({ name: 'RangeError', code: 'ERR_OUT_OF_RANGE' })
    expect((error as Error).message).toBe('threadsPerCore must be 1 or more, not 0')
  })

  it('may be at the ends of their ranges', () => {
    const options = { timebaseFrequency: 1n, timebase: (1n << 64n) - 1n, timeOfDayNs: -(1n << 63n) }
    const time = new Time()
    expect(sampleOf(new SoftwareKernel({ ...options, time: time.read }))).toEqual([
      (1n << 64n) - 1n,
      -(1n << 63n),
    ])
    expect(new SoftwareKernel({ timebaseFrequency: (1n << 64n) - 1n }).timebaseFrequency()).toBe(
      (1n << 64n) - 1n,
    )
  })

  it.each([{ timebaseFrequncy: 1n }, { offset: 5n }, { Without: ['DEC_EXPIRY'] }])(
    'throw when they are misspelt, rather than do nothing: %o',
    (options) => {
      const error = errorOf(() => new SoftwareKernel(options as SoftwareKernelOptions))
      expect(error).toBeInstanceOf(TypeError)
      expect(error).toMatchObject({ code: 'ERR_INVALID_ARG_VALUE' })
    },
  )

  it.each([
    ['setTimebase', 5],
    ['setTimebase', -1n],
    ['setTimeOfDay', 5],
    ['setTimeOfDay', 1n << 63n],
  ] as const)('are checked again by %s(%o), which then changes nothing', (name, value) => {
    const { clock } = new SoftwareKernel({ timebase: 7n, timeOfDayNs: 9n, time: new Time().read })
    const error = errorOf(() => {
      clock[name](value as bigint)
    })
    expect(error).toBeInstanceOf(typeof value === 'number' ? TypeError : RangeError)
    expect(clock.sample()).toEqual({ timebase: 7n, timeOfDayNs: 9n })
  })
})

describe('without', () => {
  it('takes registers away, for reading and writing', () => {
    const { kernel, vcpu } = kernelWithVcpu({ without: ['DEC_EXPIRY', 'VTB', 'ICP_STATE'] })
    for (const name of ['DEC_EXPIRY', 'VTB', 'ICP_STATE'] as const) {
      expect(get(kernel, vcpu, registers[name].id)).toBe(EINVAL)
      expect(kernel.setOneReg(vcpu, registers[name].id, new Uint8Array(8))).toBe(EINVAL)
    }
    expect(get(kernel, vcpu, registers.PURR.id)).toBe(0)
    expect(get(kernel, vcpu)).toBe(0)
  })

  it('leaves TB_OFFSET as it is where DEC_EXPIRY, which it starts, is away', () => {
    const { kernel, vcpu } = kernelWithVcpu({ without: ['DEC_EXPIRY'] })
    const word = new BigUint64Array([5n])
    expect(kernel.setOneReg(vcpu, TB_OFFSET, new Uint8Array(word.buffer))).toBe(0)
    expect(kernel.getOneReg(vcpu, TB_OFFSET, new Uint8Array(word.buffer))).toBe(0)
    expect(word[0]).toBe(1n << 24n)
  })

  it('is one kernel’s, and not another’s', () => {
    kernelWithVcpu({ without: ['TB_OFFSET'] })
    const { kernel, vcpu } = kernelWithVcpu()
    expect(get(kernel, vcpu)).toBe(0)
  })

  it.each([['TB_OFSET'], ['KVM_REG_PPC_TB_OFFSET'], ['constructor'], [5], [undefined]])(
    'takes names of the table, not %o',
    (name) => {
      expect(() => new SoftwareKernel({ without: [name as never] })).toThrow(TypeError)
    },
  )
})

describe('calls', () => {
  it('counts each system call, well or not, and a batch by its entries', () => {
    const kernel = new SoftwareKernel()
    expect(kernel.calls).toBe(0)
    const steps: [what: () => unknown, calls: number][] = [
      [() => kernel.open('/dev/kvm'), 1],
      [() => kernel.open('/nonexistent'), 1],
      [() => kernel.createVm(3, 0), 1],
      [() => kernel.createVcpu(4, 0), 1],
      [() => kernel.createVcpu(4, 0), 1],
      [() => kernel.checkExtension(3, 70), 1],
      [() => kernel.describe(5), 1],
      [() => get(kernel, 5), 1],
      [() => get(kernel, 99), 1],
      [() => kernel.setOneReg(5, TB_OFFSET, new Uint8Array(8)), 1],
      [() => kernel.getOneRegs(new OneRegBatch(3)), 3],
      [() => kernel.setOneRegs(new OneRegBatch(2)), 2],
      [() => kernel.getOneRegs(new OneRegBatch(0)), 0],
      [() => kernel.timebase(), 1],
      [() => kernel.sample(new BigUint64Array(3)), 1],
      [() => kernel.timebaseFrequency(), 0],
      [() => kernel.close(5), 1],
      [() => kernel.close(5), 1],
    ]
    for (const [step, calls] of steps) {
      const before = kernel.calls
      step()
      expect([String(step), kernel.calls - before]).toEqual([String(step), calls])
    }
  })
})

describe('file descriptors', () => {
  it('are the lowest number that is free, from 3 on', () => {
    const kernel = new SoftwareKernel()
    expect(kernel.open('/dev/null')).toBe(3)
    expect(kernel.open('/dev/kvm')).toBe(4)
    expect(kernel.createVm(4, 0)).toBe(5)
    expect(kernel.createVcpu(5, 0)).toBe(6)
    kernel.close(3)
    kernel.close(5)
    expect(kernel.createVm(4, 0)).toBe(3)
    expect(kernel.open('/dev/null')).toBe(5)
    expect(kernel.open('/dev/null')).toBe(7)
  })

  it('take no number for what was not opened', () => {
    const kernel = new SoftwareKernel()
    expect(kernel.open('/nonexistent')).toBe(-2)
    expect(kernel.createVm(3, 0)).toBe(EBADF)
    expect(kernel.open('/dev/kvm')).toBe(3)
  })

  it('are one kernel’s, and not another’s', () => {
    const [one, other] = [new SoftwareKernel(), new SoftwareKernel()]
    expect(one.open('/dev/kvm')).toBe(3)
    expect(other.describe(3)).toBe(EBADF)
  })
})
