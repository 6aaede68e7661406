import { RunningGuest } from '../../../lib/verify/guest.ts'

export { timeOfDay } from '../clock/index.ts'
export type { Decremented, Program, Watched } from '../../../lib/verify/guest.ts'

/** A guest that was stopped: its registers and the pages of its memory that are not empty. */
export interface GuestImage {
  readonly regs: readonly Buffer[]
  readonly pages: ReadonlyMap<number, Buffer>
}

const PAGE = 4096

/** The guest of the command verify, for tests that ask it for more. */
export class TestGuest extends RunningGuest {
  /** Lets one vCPU of a guest that asks run for a moment: its timebase, as it read it. */
  ask(vcpu: number): bigint {
    return this.native.ask(vcpu)
  }

  /** What a monitor would send to the destination, but for the registers of KVM_GET_ONE_REG. */
  takeOut(): GuestImage {
    const memory = this.native.memory()
    const empty = Buffer.alloc(PAGE)
    const pages = new Map<number, Buffer>()
    for (let at = 0; at < memory.length; at += PAGE) {
      const page = memory.subarray(at, at + PAGE)
      if (!page.equals(empty)) pages.set(at, page)
    }
    return { regs: this.vcpus.map((_, vcpu) => this.native.regs(vcpu)), pages }
  }

  putIn({ regs, pages }: GuestImage): void {
    const memory = this.native.memory().fill(0)
    for (const [at, page] of pages) memory.set(page, at)
    this.native.setMemory(memory)
    regs.forEach((bytes, vcpu) => {
      this.native.setRegs(vcpu, bytes)
    })
  }
}
