import { createRequire } from 'node:module'
import path from 'node:path'
import type { Host } from '../../../lib/kvm/host.ts'
import type { Vcpu } from '../../../lib/kvm/vcpu.ts'

/** The class that binding.cc exports. */
interface NativeGuest {
  start(): void
  stop(): void
  addVcpu(): void
  ask(vcpu: number): bigint
  vcpuFds(): number[]
  memory(): Buffer
  setMemory(bytes: Uint8Array): void
  regs(vcpu: number): Buffer
  setRegs(vcpu: number, regs: Uint8Array): void
  word(vcpu: number, offset: number): bigint
  setWord(vcpu: number, offset: number, value: bigint): void
  close(): void
}

interface Addon {
  readonly Guest: new (vcpus: number, program: Program) => NativeGuest
  timeOfDay(): bigint
  stepTimeOfDay(ns: bigint): void
}

function addon(): Addon {
  const file = path.resolve(import.meta.dirname, 'build/Release/power_guest.node')
  return createRequire(import.meta.url)(file) as Addon
}

/** The host's CLOCK_REALTIME, in ns since the epoch. */
export const timeOfDay = {
  get: (): bigint => addon().timeOfDay(),
  /** Forwards or back. */
  step: (ns: bigint): void => {
    addon().stepTimeOfDay(ns)
  },
}

/** The programs of programs.h. */
export type Program = 'watch' | 'leaving watch' | 'decrementer' | 'ask'

/** The counts and values that the watching program keeps of its timebase, in ticks. */
export interface Watched {
  readonly reads: bigint
  readonly backwardSteps: bigint
  readonly worstBackwardStep: bigint
  readonly largestForwardStep: bigint
  readonly last: bigint
  /** The first value after a stop, and how far it is from the last one before; undefined until then. */
  readonly first: bigint | undefined
  readonly step: bigint | undefined
}

/** The values that the decrementer program keeps, in ticks of its timebase. */
export interface Decremented {
  readonly armedAt: bigint
  readonly firedAt: bigint
  readonly times: bigint
  readonly last: bigint
}

/** A guest that was stopped: its registers and the pages of its memory that are not empty. */
export interface GuestImage {
  readonly regs: readonly Buffer[]
  readonly pages: ReadonlyMap<number, Buffer>
}

const PAGE = 4096
const watchWords = {
  reads: 0,
  backward: 8,
  worst: 16,
  forward: 24,
  last: 32,
  first: 40,
  before: 48,
  from: 56,
}

/** A guest of real KVM that runs one of the programs on each of its vCPUs, each on a thread. */
export class TestGuest {
  readonly host: Host
  readonly vcpus: Vcpu[]
  readonly #native: NativeGuest

  constructor(host: Host, program: Program, vcpus: number) {
    this.host = host
    this.#native = new (addon().Guest)(vcpus, program)
    this.vcpus = this.#native.vcpuFds().map((fd, id) => littleEndian(host.vcpu(fd, id)))
  }

  start(): void {
    this.#native.start()
  }

  /** Stops all vCPUs; what a load does now is seen in their `step`. */
  stop(): void {
    this.#native.stop()
  }

  /** A vCPU more, which begins the program when the guest is started again. */
  addVcpu(): Vcpu {
    this.#native.addVcpu()
    const id = this.vcpus.length
    const vcpu = littleEndian(this.host.vcpu(this.#native.vcpuFds()[id] ?? -1, id))
    this.vcpus.push(vcpu)
    return vcpu
  }

  /** Lets one vCPU of a guest that asks run for a moment: its timebase, as it read it. */
  ask(vcpu: number): bigint {
    return this.#native.ask(vcpu)
  }

  watched(vcpu: number): Watched {
    const word = (name: keyof typeof watchWords) => this.#native.word(vcpu, watchWords[name])
    const first = word('first')
    return {
      reads: word('reads'),
      backwardSteps: word('backward'),
      worstBackwardStep: word('worst'),
      largestForwardStep: word('forward'),
      last: word('last'),
      first: first === 0n ? undefined : first,
      step: first === 0n ? undefined : BigInt.asIntN(64, first - word('before')),
    }
  }

  /**
   * Lets the guest note the first value that it reads once it runs again. A value that it had already
   * read, but not noted, when it was stopped is below `from`, the saved guest timebase.
   */
  noteNextStep(from: bigint): void {
    this.vcpus.forEach((_, vcpu) => {
      this.#native.setWord(vcpu, watchWords.from, from)
      this.#native.setWord(vcpu, watchWords.forward, 0n)
      this.#native.setWord(vcpu, watchWords.first, 0n)
    })
  }

  /** Before the start: how many ticks the decrementer program shall wait. */
  setDecrementer(ticks: bigint): void {
    this.vcpus.forEach((_, vcpu) => {
      this.#native.setWord(vcpu, 0, ticks)
    })
  }

  decremented(vcpu: number): Decremented {
    const [armedAt = 0n, firedAt = 0n, times = 0n, last = 0n] = [8, 16, 24, 32].map((offset) =>
      this.#native.word(vcpu, offset),
    )
    return { armedAt, firedAt, times, last }
  }

  /** What a monitor would send to the destination, but for the registers of KVM_GET_ONE_REG. */
  takeOut(): GuestImage {
    const memory = this.#native.memory()
    const empty = Buffer.alloc(PAGE)
    const pages = new Map<number, Buffer>()
    for (let at = 0; at < memory.length; at += PAGE) {
      const page = memory.subarray(at, at + PAGE)
      if (!page.equals(empty)) pages.set(at, page)
    }
    return { regs: this.vcpus.map((_, vcpu) => this.#native.regs(vcpu)), pages }
  }

  putIn({ regs, pages }: GuestImage): void {
    const memory = this.#native.memory().fill(0)
    for (const [at, page] of pages) memory.set(page, at)
    this.#native.setMemory(memory)
    regs.forEach((bytes, vcpu) => {
      this.#native.setRegs(vcpu, bytes)
    })
  }

  close(): void {
    for (const vcpu of this.vcpus) vcpu.close()
    this.#native.close()
  }

  [Symbol.dispose](): void {
    this.close()
  }
}

/** LPCR[ILE]: without it interrupt handlers run with the other byte order than the programs. */
const LPCR_ILE = 0x0200_0000n

function littleEndian(vcpu: Vcpu): Vcpu {
  vcpu.set('LPCR_64', vcpu.get('LPCR_64') | LPCR_ILE)
  return vcpu
}
