import {
  inheritTimebase,
  loadOneRegState,
  parseOneRegState,
  saveOneRegState,
  serializeOneRegState,
} from 'kvm-ppc-onereg'
import type { BoundRegisters, Host, OneRegOutcome, RegisterName, Vcpu, Vm } from 'kvm-ppc-onereg'

/** The longest pause of a move. If it seems to have been longer, the clocks of the two hosts disagree. */
const LONGEST_PAUSE_NS = 5_000_000_000n

/** The registers that may hold another value on the destination: see docs/registers.md. */
const mayDiffer = new Set<RegisterName>(['LPCR', 'LPCR_64', 'DPDES', 'CIABR', 'DAWRX', 'PSSCR'])

type Watched = 'TB_OFFSET' | 'DEC_EXPIRY'

/**
 * A guest of a monitor, reduced to its registers and its time. A real one has threads that run the vCPUs,
 * memory and devices, and takes pc, msr and the general registers along with KVM_GET_REGS and KVM_SET_REGS.
 */
export class Guest {
  readonly #host: Host
  readonly #vm: Vm
  readonly #vcpus: Vcpu[] = []
  readonly #watched: BoundRegisters<Watched>[] = []
  #running = false

  private constructor(host: Host, ids: readonly number[]) {
    this.#host = host
    this.#vm = host.createVm()
    try {
      for (const id of ids) this.#add(this.#vm.createVcpu(id))
    } catch (error) {
      this.#vm.close()
      throw error
    }
  }

  static boot(host: Host, vcpus: number): Guest {
    const guest = new Guest(host, [...Array(vcpus).keys()])
    guest.#running = true
    return guest
  }

  /**
   * Makes the guest that {@link save} wrote on another host. It is stopped until {@link start}. If it cannot be
   * loaded, nothing of it is left: vCPUs that hold a part of the registers must not run.
   */
  static load(host: Host, text: string): Guest {
    const state = parseOneRegState(text)
    const guest = new Guest(
      host,
      state.vcpus.map(({ id }) => id),
    )
    try {
      const limits = { verify: true, maxDowntimeNs: LONGEST_PAUSE_NS }
      checkHeld(loadOneRegState(guest.#vcpus, state, limits))
      return guest
    } catch (error) {
      guest.close()
      throw error
    }
  }

  get running(): boolean {
    return this.#running
  }

  get vcpus(): readonly Vcpu[] {
    return this.#vcpus
  }

  /** Tells all vCPUs to stop, and waits until they have: docs/migration.md has the recipe. */
  pause(): void {
    this.#running = false
  }

  /** Runs the vCPUs for the first time after a load. */
  start(): void {
    this.#running = true
  }

  /**
   * Runs the vCPUs again after a pause that ended here. The decrementer of a bare-metal host takes an expiry that
   * passed more than 4.2 s ago for one that is still to come, so one that has passed is set to the present.
   */
  resume(): void {
    for (const { vcpu, timebase, expiry } of this.watch()) {
      if (BigInt.asIntN(64, expiry - timebase) < 0n) vcpu.set('DEC_EXPIRY', timebase)
    }
    this.#running = true
  }

  /** What each vCPU reads as its timebase now, and when its decrementer fires, in ticks. */
  watch(): { vcpu: Vcpu; timebase: bigint; expiry: bigint }[] {
    return this.#watched.map((registers) => {
      registers.read()
      return {
        vcpu: registers.vcpu,
        timebase: BigInt.asUintN(64, this.#host.timebase() + registers.get('TB_OFFSET')),
        expiry: registers.get('DEC_EXPIRY'),
      }
    })
  }

  /** Plugs in another vCPU, which has the guest's timebase from its first instruction on. */
  plug(): Vcpu {
    const [first] = this.#vcpus
    if (first === undefined) throw new Error('A guest has at least one vCPU')
    const vcpu = this.#vm.createVcpu(this.#vcpus.length)
    inheritTimebase(first, vcpu)
    this.#add(vcpu)
    return vcpu
  }

  /** Writes the registers and the timebase of a paused guest as text. */
  save(): string {
    return serializeOneRegState(saveOneRegState(this.#vcpus))
  }

  close(): void {
    this.#running = false
    this.#vm.close()
  }

  #add(vcpu: Vcpu): void {
    this.#vcpus.push(vcpu)
    this.#watched.push(vcpu.bind(['TB_OFFSET', 'DEC_EXPIRY']))
  }
}

/** Refuses a guest of which a register was lost that it needs. */
function checkHeld({ vcpus, timebase }: OneRegOutcome): void {
  const lost = vcpus.flatMap(({ refused, changed = [] }) => [...refused, ...changed])
  const needed = [...lost, ...timebase.skipped]
    .map(({ register }) => register)
    .filter((register) => !mayDiffer.has(register))
  if (needed.length === 0) return
  throw new Error(`This host does not hold what was in ${[...new Set(needed)].join(', ')}`)
}
