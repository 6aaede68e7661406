import { describe, expect, it } from 'vitest'
import { SoftwareKernel } from '../../lib/kernel/software/kernel.ts'
import { registers } from '../../lib/registers.ts'
import { errorOf } from '../support/error-of.ts'

const TB_OFFSET = registers.TB_OFFSET.id
const bytes = new Uint8Array(8)

describe('the model names an argument that is wrong:', () => {
  it.each<[start: string, call: (kernel: SoftwareKernel, wrong: never) => unknown]>([
    ['path must be a string', (kernel, wrong) => kernel.open(wrong)],
    ['fd must be', (kernel, wrong) => kernel.close(wrong)],
    ['fd must be', (kernel, wrong) => kernel.describe(wrong)],
    ['fd must be', (kernel, wrong) => kernel.fileId(wrong)],
    ['fd must be', (kernel, wrong) => kernel.checkExtension(wrong, 1)],
    ['extension must be', (kernel, wrong) => kernel.checkExtension(3, wrong)],
    ['fd must be', (kernel, wrong) => kernel.createVm(wrong, 0)],
    ['type must be', (kernel, wrong) => kernel.createVm(3, wrong)],
    ['fd must be', (kernel, wrong) => kernel.createVcpu(wrong, 0)],
    ['id must be', (kernel, wrong) => kernel.createVcpu(3, wrong)],
    ['fd must be', (kernel, wrong) => kernel.getOneReg(wrong, TB_OFFSET, bytes)],
    ['id must be', (kernel, wrong) => kernel.setOneReg(3, wrong, bytes)],
    ['value must be', (kernel, wrong) => kernel.setOneReg(3, TB_OFFSET, wrong)],
    ['fd must be', (kernel, wrong) => kernel.run(wrong)],
    ['fd must be', (kernel, wrong) => kernel.guestOffset(wrong)],
    ['options must be an object', (_, wrong) => new SoftwareKernel(wrong)],
    ['options may have only', () => new SoftwareKernel({ linus: '6.12' } as never)],
    ['linux must be', (_, wrong) => new SoftwareKernel({ linux: wrong })],
    ['machine must be', (_, wrong) => new SoftwareKernel({ machine: wrong })],
    ['threadsPerCore must be', (_, wrong) => new SoftwareKernel({ threadsPerCore: wrong })],
    ['wallClock must be an object', (_, wrong) => new SoftwareKernel({ wallClock: wrong })],
  ])('%s', (start, call) => {
    const error = errorOf(() => call(new SoftwareKernel(), Symbol('wrong') as never))
    expect(error).toBeInstanceOf(TypeError)
    expect((error as Error).message.slice(0, start.length)).toBe(start)
  })

  it('path must be free of null bytes', () => {
    const error = errorOf(() => new SoftwareKernel().open('/dev/kvm\0'))
    expect(error).toBeInstanceOf(RangeError)
    expect((error as Error).message).toMatch(/^path must be free of null bytes/)
  })

  it('linux must be 6.7 or later on papr', () => {
    const error = errorOf(() => new SoftwareKernel({ machine: 'papr POWER10', linux: '6.1' }))
    expect((error as Error).message).toMatch(/^linux must be 6\.7 or later on papr POWER10/)
  })
})

describe('the model has', () => {
  it('Linux 6.1 on the other machines', () => {
    const { linux, machine } = new SoftwareKernel({ machine: 'pseries POWER9', linux: '6.1' })
    expect([linux, machine]).toEqual(['6.1', 'pseries POWER9'])
  })

  it('a wall clock that is synchronised and exact, if the test does not say otherwise', () => {
    const [maxErrorUs, TIME_OK] = [new BigUint64Array([7n]), 0]
    const kernel = new SoftwareKernel()
    expect(kernel.clockState(maxErrorUs)).toBe(TIME_OK)
    expect(maxErrorUs[0]).toBe(0n)
    expect(kernel.calls).toBe(1)
  })

  it('an id of its own for each file that is open, and none for others', () => {
    const kernel = new SoftwareKernel()
    const ids = ['/dev/kvm', '/dev/null', '/dev/kvm'].map((path) =>
      kernel.fileId(kernel.open(path)),
    )
    expect(ids.every((id) => id > 0)).toBe(true)
    expect(new Set(ids).size).toBe(3)
    expect(kernel.fileId(99)).toBe(0)
    kernel.close(4)
    expect(kernel.fileId(4)).toBe(0)
  })
})
