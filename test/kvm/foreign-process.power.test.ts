import { expect, it } from 'vitest'
import { Host } from '../../lib/kvm/host.ts'
import { NativeKernel } from '../../lib/kernel/native.ts'
import { registers } from '../../lib/registers.ts'
import { runChild } from '../support/child.ts'

it('a vCPU of another process gives EIO, and the error names that as the cause', () => {
  using host = new Host(new NativeKernel())
  const vcpu = host.createVm().createVcpu(1)
  const { id } = registers.TB_OFFSET
  const errors = runChild('child-borrowing.ts', ['1', String(id)], { fds: [vcpu.fd] })
  const message = expect.stringMatching(/EIO.*made by another process/) as unknown
  const eio = { name: 'KvmError', code: 'EIO', errno: -5, syscall: 'ioctl', vcpu: 1, message }
  const get = { ...eio, operation: 'KVM_GET_ONE_REG' }
  const raw = `0x${id.toString(16)}`
  expect(errors).toEqual([
    { ...get, register: raw },
    { ...eio, operation: 'KVM_SET_ONE_REG', register: raw },
    { ...get, register: 'TB_OFFSET' },
    { ...get, register: 'TB_OFFSET' },
  ])
  // The parent's own calls go on.
  expect(vcpu.get('TB_OFFSET')).toBe(0n)
})
