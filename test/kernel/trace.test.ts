import { spawn } from 'node:child_process'
import { once } from 'node:events'
import path from 'node:path'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { NO_REGISTER, OneRegBatch } from '../../lib/kernel/batch.ts'
import { Host } from '../../lib/kvm/host.ts'
import { registers } from '../../lib/registers.ts'
import { traced } from '../../lib/kernel/trace.ts'
import { SoftwareKernel } from '../../lib/kernel/software/kernel.ts'
import { slowdown } from '../support/emulated.ts'
import { errorOf } from '../support/error-of.ts'

const timeout = 20_000 * slowdown

afterEach(() => {
  vi.unstubAllEnvs()
  vi.restoreAllMocks()
})

/** Lines on stderr, without the times. */
function traceOf(): string[] {
  vi.stubEnv('KVM_PPC_TRACE', '1')
  const lines: string[] = []
  vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
    expect(text).toMatch(/^\d+\.\d{6} .* <\d+\.\d µs( for \d+)?>\n$/)
    lines.push((text as string).replace(/^\S+ /, '').replace(/ <\S+ µs(.*)>\n$/, '$1'))
    return true
  })
  return lines
}

describe('KVM_PPC_TRACE', () => {
  it.each([undefined, '', '0'])('%s leaves the kernel as it is', (value) => {
    vi.stubEnv('KVM_PPC_TRACE', value)
    const kernel = new SoftwareKernel()
    using host = new Host(kernel)
    expect(host.kernel).toBe(kernel)
  })

  it('prints each call with its value and result', () => {
    const lines = traceOf()
    {
      using host = new Host(new SoftwareKernel())
      using vm = host.createVm()
      using vcpu = vm.createVcpu(0)
      vcpu.set('TB_OFFSET', 5n)
      expect(vcpu.get('TB_OFFSET')).toBe(16_777_216n)
      vcpu.getRaw(registers.DSISR.id)
      errorOf(() => vcpu.getRaw(0x1030_0000_0000_ffffn))
      vcpu.set('VR0', new Uint8Array(16).fill(0xab))
    }
    expect(lines).toEqual([
      'open("/dev/kvm") = 3',
      'ioctl(3, KVM_CHECK_EXTENSION, 70) = 1',
      'ioctl(3, KVM_CREATE_VM, 0) = 4',
      'ioctl(4, KVM_CREATE_VCPU, 0) = 5',
      'ioctl(5, KVM_SET_ONE_REG, TB_OFFSET 0x103000000000009c, 0x0000000000000005) = 0',
      'ioctl(5, KVM_GET_ONE_REG, TB_OFFSET 0x103000000000009c, 0x0000000001000000) = 0',
      'ioctl(5, KVM_GET_ONE_REG, DSISR 0x102000000000000d, 0x00000000) = 0',
      'ioctl(5, KVM_GET_ONE_REG, 0x103000000000ffff) = -1 EINVAL',
      `ioctl(5, KVM_SET_ONE_REG, VR0 0x1040000000000040, ${'ab'.repeat(16)}) = 0`,
      'close(5) = 0',
      'close(4) = 0',
      'close(3) = 0',
    ])
  })

  it('prints a line for each entry of a batch, off the thread too', async () => {
    const lines = traceOf()
    using host = new Host(new SoftwareKernel())
    using vm = host.createVm()
    using vcpu = vm.createVcpu(0)
    const before = lines.length
    vcpu.read(['TB_OFFSET', 'DEC_EXPIRY'])
    await vcpu.writeAsync({ VTB: 7n, DSCR: 8n })
    expect(lines.slice(before)).toEqual([
      'ioctl(5, KVM_GET_ONE_REG, TB_OFFSET 0x103000000000009c, 0x0000000000000000) = 0 for 2',
      expect.stringMatching(
        /^ioctl\(5, KVM_GET_ONE_REG, DEC_EXPIRY 0x10300000000000be, .* = 0 for 2$/,
      ),
      expect.stringMatching(/^ioctl\(5, KVM_SET_ONE_REG, VTB .*, 0x0000000000000007\) = 0 for 2$/),
      expect.stringMatching(/^ioctl\(5, KVM_SET_ONE_REG, DSCR .*, 0x0000000000000008\) = 0 for 2$/),
    ])
  })

  it('keeps to the results of the kernel below', async () => {
    const lines = traceOf()
    using host = new Host(new SoftwareKernel())
    using vm = host.createVm()
    const { fd } = vm.createVcpu(0)
    const kernel = traced(host.kernel)
    const batch = new OneRegBatch(3)
    batch.fds.fill(fd)
    batch.ids.set([registers.TB_OFFSET.id, NO_REGISTER, 0x1030_0000_0000_ffffn])
    const before = lines.length
    expect(kernel.getOneRegs(batch)).toBe(-22)
    expect([...batch.results]).toEqual([0, -22, -22])
    expect(lines.slice(before)).toHaveLength(2)
    expect(await kernel.getOneRegsAsync(batch)).toBe(0)
    expect(lines.slice(before)).toHaveLength(4)
    const wrong = errorOf(() => kernel.getOneRegs({} as never))
    expect(wrong).toMatchObject({ code: 'ERR_INVALID_ARG_TYPE' })
    await expect(kernel.setOneRegsAsync({} as never)).rejects.toMatchObject({
      code: 'ERR_INVALID_ARG_TYPE',
    })
  })

  it('leaves the kernel of a host as it is, and its calls by others unprinted', () => {
    const lines = traceOf()
    const kernel = new SoftwareKernel()
    using host = new Host(kernel)
    using vm = host.createVm()
    const { fd } = vm.createVcpu(0)
    const before = lines.length
    expect(host.kernel).toBe(kernel)
    expect(host.kernel.setOneReg(fd, registers.VTB.id, new Uint8Array(8).fill(1))).toBe(0)
    expect(lines.slice(before)).toEqual([])
  })

  it('prints nothing of the clocks, which are no calls to KVM', () => {
    const lines = traceOf()
    const kernel = new SoftwareKernel({ timebase: 7n })
    using host = new Host(kernel)
    const before = lines.length
    expect(host.kernel.backend).toBe('software')
    expect(host.timebase()).toBeGreaterThanOrEqual(7n)
    expect(host.timebaseFrequency).toBe(512_000_000n)
    expect(host.sample().timebase).toBeGreaterThanOrEqual(7n)
    expect(lines).toHaveLength(before)
  })

  it('does not end a program when the reader of its trace is gone', { timeout }, async () => {
    const program = path.join(import.meta.dirname, '../support/child-watched.ts')
    const env = { ...process.env, KVM_PPC_TRACE: '1' }
    const child = spawn(process.execPath, ['--import', 'tsx', program], { env })
    const [line] = (await once(child.stderr, 'data')) as [Buffer]
    expect(line.toString()).toContain('open("/dev/kvm") = 3')
    child.stderr.destroy()
    await once(child.stderr, 'close')
    child.stdin.write('it is closed\n')
    const [printed] = (await once(child.stdout, 'data')) as [Buffer]
    expect(printed.toString()).toBe('went on\n')
    expect(await once(child, 'exit')).toEqual([0, null])
  })
})
