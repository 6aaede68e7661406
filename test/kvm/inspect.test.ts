import { inspect } from 'node:util'
import { expect, it } from 'vitest'
import { Host } from '../../lib/kvm/host.ts'
import { SoftwareKernel } from '../../lib/kernel/software/kernel.ts'
import { registerNames } from '../../lib/registers.ts'

it('console.log of a host, a VM, a vCPU and bound registers is a line without internals', () => {
  const host = new Host(new SoftwareKernel())
  const vm = host.createVm()
  const vcpu = vm.createVcpu(8)
  const lines = () => [host, vm, vcpu].map((object) => inspect(object))
  expect(lines()).toEqual([
    'Host (software, fd 3)',
    'Vm (software, fd 4)',
    'Vcpu 8 (software, fd 5)',
  ])
  expect(inspect(vcpu.bind(['DAR', 'DSISR']))).toBe('BoundRegisters of vCPU 8: DAR, DSISR')
  const all = `BoundRegisters of vCPU 8: ${registerNames.slice(0, 8).join(', ')}, ${registerNames.length - 8} more`
  expect(inspect({ all: vcpu.bind(registerNames) })).toBe(`{\n  all: ${all}\n}`)
  // The traps of a proxy are not run.
  const traps = { get: () => expect.unreachable() }
  expect([vm, vcpu].map((object) => inspect(new Proxy(object, traps)))).toEqual(['Vm', 'Vcpu'])
  host.close()
  expect(lines()).toEqual([
    'Host (software, closed)',
    'Vm (software, closed)',
    'Vcpu 8 (software, closed)',
  ])
})
