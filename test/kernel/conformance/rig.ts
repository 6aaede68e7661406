import { endianness } from 'node:os'
import { it } from 'vitest'
import { errnoName } from '../../../lib/errno.ts'
import type { Kernel } from '../../../lib/kernel/kernel.ts'
import { registers } from '../../../lib/registers.ts'
import type { RegisterName } from '../../../lib/registers.ts'

/** Makes a test that runs on a fresh kernel with /dev/kvm open. */
export type Check = (title: string, test: (rig: Rig) => void, timeoutMs?: number) => void

export function checkOn(makeKernel: () => Kernel): Check {
  return (title, test, timeoutMs) => {
    it(
      title,
      () => {
        const rig = new Rig(makeKernel())
        try {
          test(rig)
        } finally {
          rig.close()
        }
      },
      timeoutMs,
    )
  }
}

/** A kernel, /dev/kvm open, and what a test opens besides. */
export class Rig {
  readonly kernel: Kernel
  readonly kvm: number
  readonly #files: number[] = []

  constructor(kernel: Kernel) {
    this.kernel = kernel
    this.kvm = this.own(kernel.open('/dev/kvm'))
  }

  /** Takes a file descriptor to close at the end. */
  own(fd: number): number {
    if (fd < 0) throw new Error(`A file could not be opened: ${errnoName(fd)}`)
    this.#files.push(fd)
    return fd
  }

  vm(): number {
    return this.own(this.kernel.createVm(this.kvm, 0))
  }

  vcpu(vm = this.vm(), id = 0): number {
    return this.own(this.kernel.createVcpu(vm, id))
  }

  /** /dev/null: a file that is not KVM's. */
  null(): number {
    return this.own(this.kernel.open('/dev/null'))
  }

  /** The number of a file that was open. */
  closed(): number {
    const fd = this.null()
    this.closeFile(fd)
    return fd
  }

  closeFile(fd: number): void {
    this.#files.splice(this.#files.indexOf(fd), 1)
    this.kernel.close(fd)
  }

  /** A register's value as one unsigned number, or the name of the error. */
  get(fd: number, name: RegisterName): bigint | string {
    const { id, width } = registers[name]
    const bytes = new Uint8Array(width / 8)
    const result = this.kernel.getOneReg(fd, id, bytes)
    return result < 0 ? errnoName(result) : fromBytes(bytes)
  }

  /** Writes as many low bits of the value as the register has: 0, or the name of the error. */
  set(fd: number, name: RegisterName, value: bigint): 0 | string {
    const { id, width } = registers[name]
    const result = this.kernel.setOneReg(fd, id, toBytes(value, width / 8))
    return result === 0 ? 0 : errnoName(result)
  }

  /** Writes a register, and returns its value afterwards or the name of the error. */
  setAndGet(fd: number, name: RegisterName, value: bigint): bigint | string {
    const result = this.set(fd, name, value)
    return result === 0 ? this.get(fd, name) : result
  }

  close(): void {
    for (const fd of this.#files.splice(0).reverse()) this.kernel.close(fd)
  }
}

/** A call's result, an error by its name. */
export function outcome(result: number): number | string {
  return result < 0 ? errnoName(result) : result
}

/** The bytes of a value in this host's order. */
export function toBytes(value: bigint, size: number): Uint8Array {
  const bytes = Uint8Array.from({ length: size }, (_, index) =>
    Number((value >> BigInt(8 * index)) & 0xffn),
  )
  return endianness() === 'LE' ? bytes : bytes.reverse()
}

export function fromBytes(bytes: Uint8Array): bigint {
  const highestFirst = endianness() === 'LE' ? [...bytes].reverse() : [...bytes]
  return BigInt(`0x${Buffer.from(highestFirst).toString('hex')}`)
}
