import { NativeKernel } from '../../lib/kernel/native.ts'
import { idsInARowVariable } from './emulated.ts'

/**
 * The real kernel for tests that make vCPUs whose ids are not in a row. Below nested v2 QEMU 9.1 to 11.1 end
 * for such an id, by `assert(vcpuid == guest->nr_vcpus)` in h_guest_create_vcpu (hw/ppc/spapr_nested.c). With such
 * a QEMU, which test/power/qemu-faults.ts finds by that text, the ids below are made first.
 */
export function kernelForAnyIds(): NativeKernel {
  return process.env[idsInARowVariable] === '1' ? new KernelThatFillsUp() : new NativeKernel()
}

class KernelThatFillsUp extends NativeKernel {
  /** The vCPUs of each VM that were made to fill up and not asked for yet, and how many ids are taken. */
  readonly #vms = new Map<number, { next: number; spare: Map<number, number> }>()

  override createVm(fd: number, type: number): number {
    const vm = super.createVm(fd, type)
    if (vm >= 0) this.#vms.set(vm, { next: 0, spare: new Map() })
    return vm
  }

  override createVcpu(fd: number, id: number): number {
    const vm = this.#vms.get(fd)
    if (vm === undefined || id >= 2048) return super.createVcpu(fd, id)
    for (; vm.next < id; vm.next++) vm.spare.set(vm.next, super.createVcpu(fd, vm.next))
    const spare = vm.spare.get(id)
    vm.spare.delete(id)
    if (spare !== undefined) return spare
    const made = super.createVcpu(fd, id)
    if (made >= 0) vm.next = id + 1
    return made
  }

  override close(fd: number): number {
    for (const spare of this.#vms.get(fd)?.spare.values() ?? []) super.close(spare)
    this.#vms.delete(fd)
    return super.close(fd)
  }
}
