import { loadBinary } from '../kernel/addon.ts'
import type { Host } from '../kvm/host.ts'
import type { Vcpu } from '../kvm/vcpu.ts'

/** The class that native/guest/binding.cc exports. */
export interface NativeGuest {
  start(at?: bigint): void
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

/** The programs of native/guest/programs.h. */
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

/** How many words of its block a program uses. */
const BLOCK_WORDS = 8

/**
 * A guest of real KVM, with nothing in it but one of the programs. Each vCPU runs it on a thread of its own,
 * and reads its timebase without pause. Close it: its VM and threads do not end with the host.
 */
export class RunningGuest {
  readonly host: Host
  /** Borrowed from the addon, which made them. */
  readonly vcpus: Vcpu[]
  protected readonly native: NativeGuest

  constructor(host: Host, program: Program, vcpus: number) {
    this.host = host
    this.native = new (loadGuestAddon().Guest)(vcpus, program)
    this.vcpus = this.native.vcpuFds().map((fd, id) => littleEndian(host.vcpu(fd, id)))
  }

  /**
   * Runs all vCPUs.
   *
   * @param at the host's timebase from which on they may run, u64, at most one step of TB_OFFSET and 2^19 ticks
   *   from now: the threads wait for it in native code
   */
  start(at?: bigint): void {
    this.native.start(at)
  }

  /** Stops all vCPUs; a load does its work now, and is seen in their `step`. */
  stop(): void {
    this.native.stop()
  }

  /** Adds a vCPU, which begins the program when the guest is started again. */
  addVcpu(): Vcpu {
    this.native.addVcpu()
    const id = this.vcpus.length
    const vcpu = littleEndian(this.host.vcpu(this.native.vcpuFds()[id] ?? -1, id))
    this.vcpus.push(vcpu)
    return vcpu
  }

  watched(vcpu: number): Watched {
    const word = (name: keyof typeof watchWords) => this.native.word(vcpu, watchWords[name])
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
      this.native.setWord(vcpu, watchWords.from, from)
      this.native.setWord(vcpu, watchWords.forward, 0n)
      this.native.setWord(vcpu, watchWords.first, 0n)
    })
  }

  /** Before the start: how many ticks the decrementer program shall wait. */
  setDecrementer(ticks: bigint): void {
    this.vcpus.forEach((_, vcpu) => {
      this.native.setWord(vcpu, 0, ticks)
    })
  }

  decremented(vcpu: number): Decremented {
    const [armedAt = 0n, firedAt = 0n, times = 0n, last = 0n] = [8, 16, 24, 32].map((offset) =>
      this.native.word(vcpu, offset),
    )
    return { armedAt, firedAt, times, last }
  }

  /**
   * Takes over another guest of the same program, which is stopped: where each vCPU is in it, and what it has
   * noted. The time registers are left to the library.
   */
  takeFrom({ native, vcpus }: RunningGuest): void {
    for (let vcpu = 0; vcpu < vcpus.length; vcpu++) {
      this.native.setRegs(vcpu, native.regs(vcpu))
      for (let word = 0; word < BLOCK_WORDS; word++) {
        this.native.setWord(vcpu, word * 8, native.word(vcpu, word * 8))
      }
    }
  }

  close(): void {
    for (const vcpu of this.vcpus) vcpu.close()
    this.native.close()
  }

  [Symbol.dispose](): void {
    this.close()
  }
}

/** @throws OneRegError ERR_KVM_UNAVAILABLE if the addon is missing: it is for ppc64 only */
export function loadGuestAddon(): {
  readonly Guest: new (vcpus: number, program: Program) => NativeGuest
} {
  return loadBinary('kvm_ppc_guest.node') as ReturnType<typeof loadGuestAddon>
}

/** LPCR[ILE]: without it interrupt handlers run with the other byte order than the programs. */
const LPCR_ILE = 0x0200_0000n

function littleEndian(vcpu: Vcpu): Vcpu {
  vcpu.set('LPCR_64', vcpu.get('LPCR_64') | LPCR_ILE)
  return vcpu
}
