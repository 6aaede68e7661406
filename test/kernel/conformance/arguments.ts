import { expect, it } from 'vitest'
import { OneRegBatch } from '../../../lib/kernel/batch.ts'
import type { Kernel } from '../../../lib/kernel/kernel.ts'
import { SoftwareKernel } from '../../../lib/kernel/software/kernel.ts'
import { errorOf } from '../../support/error-of.ts'
import {
  expectOutOfRange,
  expectRefusal,
  integer,
  NO_FD,
  signatures,
} from '../../support/wrong-arguments.ts'
import type { Kind } from '../../support/wrong-arguments.ts'

const methods = {
  ...signatures,
  describe: [integer],
} satisfies Partial<Record<keyof Kernel, readonly Kind[]>>

/** The arguments for which a kernel throws. These tests do not need KVM, only the native kernel on any Linux. */
export function checkArguments(makeKernel: () => Kernel): void {
  for (const [name, kinds] of Object.entries(methods)) {
    kinds.forEach((_, index) => {
      it(`make ${name} throw before any system call: argument ${index + 1}`, () => {
        const kernel = makeKernel()
        expectRefusal(method(kernel, name), kinds, index)
        expectNoCalls(kernel)
      })
    })
  }

  it.each([
    ['0x100000000000009c', 1],
    ['0x102000000000000d', 4],
    ['0x103000000000009c', 8],
    ['0x1040000000000040', 16],
    ['0x105000000000009c', 32],
    ['0xffffffffffffffff', 32768],
  ])('are more or fewer bytes than the id %s says, which are %d', (hex, size) => {
    const id = BigInt(hex)
    const kernel = makeKernel()
    for (const length of [0, size - 1, size + 1, size * 2]) {
      const bytes = new Uint8Array(length)
      expectOutOfRange(
        errorOf(() => kernel.getOneReg(NO_FD, id, bytes)),
        length,
      )
      expectOutOfRange(
        errorOf(() => kernel.setOneReg(NO_FD, id, bytes)),
        length,
      )
    }
    expectNoCalls(kernel)
    expect(kernel.getOneReg(NO_FD, id, new Uint8Array(size))).toBe(-9)
    expect(kernel.setOneReg(NO_FD, id, new Uint8Array(size))).toBe(-9)
  })

  it.each([
    ['nothing', undefined],
    ['null', null],
    ['a number', 1],
    ['an empty object', {}],
    ['an array', [NO_FD]],
    ['arrays that are no typed ones', { count: 1, fds: [9], ids: [1n], values: [], results: [0] }],
  ])('make a batch throw that is %s', (_what, batch) => {
    const kernel = makeKernel()
    expect(() => kernel.getOneRegs(batch as never)).toThrow(TypeError)
    expect(() => kernel.setOneRegs(batch as never)).toThrow(TypeError)
    expectNoCalls(kernel)
  })

  it('give EINVAL to an entry of a batch with an id beyond 128 bits, without a call for it', () => {
    const kernel = makeKernel()
    const batch = new OneRegBatch(2)
    batch.fds.fill(NO_FD)
    batch.ids.set([0x1050_0000_0000_009cn, 0x10f0_0000_0000_009cn])
    for (const call of ['getOneRegs', 'setOneRegs'] as const) {
      batch.results.fill(77)
      expect(kernel[call](batch)).toBe(-22)
      expect([...batch.results]).toEqual([-22, -22])
    }
    expectNoCalls(kernel)
  })

  it('are fewer than are needed', () => {
    const kernel = makeKernel()
    for (const [name, kinds] of Object.entries(methods)) {
      const given = kinds.slice(1).map(({ right }) => right())
      expect(() => method(kernel, name)(...given), name).toThrow(TypeError)
    }
    expectNoCalls(kernel)
  })
}

/** A method of the kernel, to be called with what its type does not allow. */
function method(kernel: Kernel, name: string): (...given: unknown[]) => unknown {
  const named = Reflect.get(kernel, name) as (...given: unknown[]) => unknown
  return named.bind(kernel)
}

/** The model counts its system calls. */
function expectNoCalls(kernel: Kernel): void {
  if (kernel instanceof SoftwareKernel) expect(kernel.calls).toBe(0)
}
