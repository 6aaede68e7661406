import { expect } from 'vitest'
import { OneRegBatch } from '../../../lib/kernel/batch.ts'
import type { ErrnoName } from '../../../lib/errno.ts'
import { Host } from '../../../lib/kvm/host.ts'
import type { Kernel } from '../../../lib/kernel/kernel.ts'
import { registers } from '../../../lib/registers.ts'
import type { RegisterName } from '../../../lib/registers.ts'
import type { Vcpu } from '../../../lib/kvm/vcpu.ts'
import type { Vm } from '../../../lib/kvm/vm.ts'
import { STEP, registerOn, timerNames } from '../../support/host-pair.ts'
import { RecordingKernel } from '../../support/kernels.ts'
import type { Call } from '../../support/kernels.ts'

/** The errors that a call can fail with. */
export const errnos = ['EINTR', 'EAGAIN', 'EIO', 'EBADF', 'ENOMEM', 'EFAULT', 'EINVAL'] as const

/** A kernel and a guest's vCPUs on it, with which faults are tried. */
export interface Place {
  readonly makeKernel: () => Kernel
  readonly ids: readonly number[]
  /** Lets time pass on a kernel that does not do so by itself. */
  readonly passTime?: () => void
  /** Set if calls take long: with each error only one in this number of a snapshot's calls is made to fail. */
  readonly apart?: number
}

/** The values of the vCPUs' time registers at the beginning. */
export type Beginning = 'values of their own' | 'one offset' | 'zeros'

/** Which call of a list fails, and how. */
export interface Strike {
  readonly at: number
  readonly errno: ErrnoName
}

export interface Run {
  readonly value: unknown
  readonly error: unknown
  /** The calls that were made, those that failed included. */
  readonly calls: readonly Call[]
  /** All registers of all vCPUs afterwards. */
  readonly after: Registers
}

/** The values of registers in the order of {@link FaultRig.names}, 16 bytes each. */
export type Registers = Buffer

/** A guest on a kernel whose calls can be made to fail, and the same guest on the kernel without faults. */
export class FaultRig {
  readonly kernel: RecordingKernel
  readonly host: Host
  readonly vcpus: readonly Vcpu[]
  /** The same vCPUs on the kernel itself. */
  readonly plain: readonly Vcpu[]
  /** The names of all registers, such as `VTB of vCPU 3`. */
  readonly names: readonly string[]
  readonly #plainHost: Host
  readonly #vm: Vm
  readonly #all: OneRegBatch

  constructor({ makeKernel, ids }: Place) {
    this.kernel = new RecordingKernel(makeKernel())
    this.host = new Host(this.kernel)
    this.#vm = this.host.createVm()
    this.vcpus = ids.map((id) => this.#vm.createVcpu(id))
    this.#plainHost = new Host(this.kernel.kernel)
    this.plain = this.vcpus.map(({ fd, id }) => this.#plainHost.vcpu(fd, id))
    const all = this.plain.flatMap((vcpu) =>
      (Object.keys(vcpu.snapshot()) as RegisterName[]).map((name) => ({ vcpu, name })),
    )
    this.names = all.map(({ vcpu, name }) => registerOn(name, vcpu.id))
    this.#all = new OneRegBatch(all.length)
    this.#all.ids.set(all.map(({ name }) => registers[name].id))
    this.#all.fds.set(all.map(({ vcpu }) => vcpu.fd))
  }

  vcpu(index: number): Vcpu {
    const vcpu = this.vcpus[index]
    if (vcpu === undefined) throw new Error(`There is no vCPU ${index}`)
    return vcpu
  }

  hold(beginning: Beginning): void {
    for (const vcpu of this.plain) {
      const n = BigInt(vcpu.id) + 1n
      const values = {
        TB_OFFSET: { 'values of their own': n, 'one offset': 3n, zeros: 0n }[beginning] * STEP,
        DEC_EXPIRY: 100n + n,
        VTB: 200n + n,
        PURR: 300n + n,
        SPURR: 400n + n,
      }
      for (const name of timerNames) {
        if (!vcpu.has(name)) continue
        vcpu.set(name, beginning === 'zeros' ? 0n : values[name])
      }
    }
  }

  /** All registers that the vCPUs have, past the kernel that fails. */
  registers(): Registers {
    const { kernel } = this.kernel
    this.#all.values.fill(0)
    expect(kernel.getOneRegs(this.#all)).toBe(0)
    return Buffer.from(this.#all.values)
  }

  /** The registers that do not hold the same. */
  differing(one: Registers, other: Registers): string[] {
    const isSame = (at: number): boolean =>
      one.compare(other, 16 * at, 16 * at + 16, 16 * at, 16 * at + 16) === 0
    return this.names.filter((_, at) => !isSame(at)).sort()
  }

  /** Runs something while some of its calls fail. */
  async run(what: () => unknown, strikes: readonly Strike[]): Promise<Run> {
    const { kernel } = this
    kernel.log.length = 0
    kernel.failed.length = 0
    for (const { at, errno } of strikes) kernel.fail({ errno, skip: at })
    const outcome = await settled(what)
    kernel.clearFaults()
    return { ...outcome, calls: [...kernel.log], after: this.registers() }
  }

  /** Which calls of the last run failed. */
  get failed(): readonly number[] {
    return this.kernel.failed
  }

  close(): void {
    this.host.close()
    this.#plainHost.close()
  }
}

async function settled(what: () => unknown): Promise<{ value: unknown; error: unknown }> {
  try {
    return { value: await what(), error: undefined }
  } catch (error) {
    return { value: undefined, error }
  }
}

/** A place of a call in a list, in words. */
export function inWords(at: number, { operation, register, vcpu }: Call): string {
  const of = register === undefined ? '' : ` of ${registerOn(register, vcpu ?? -1)}`
  return `call ${at}, ${operation}${of}`
}
