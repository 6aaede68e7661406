import {
  inheritTimebase,
  loadTimebase,
  parseTimebase,
  saveTimebase,
  serializeTimebase,
} from 'kvm-ppc-onereg'
import type { Host, Vcpu, Vm } from 'kvm-ppc-onereg'

/** A move takes seconds. If it seems to have taken longer, the two hosts' clocks disagree. */
const LONGEST_MOVE_NS = 30_000_000_000n

/**
 * A guest of a monitor, reduced to what concerns its time. A real one has memory, devices, and threads
 * that run the vCPUs.
 */
export class Guest {
  readonly #vm: Vm
  readonly #vcpus: Vcpu[]
  #running = false

  private constructor(vm: Vm, ids: readonly number[]) {
    this.#vm = vm
    this.#vcpus = ids.map((id) => vm.createVcpu(id))
  }

  static boot(host: Host, vcpus: number): Guest {
    const guest = new Guest(host.createVm(), [...Array(vcpus).keys()])
    guest.#running = true
    return guest
  }

  /** Makes the guest that another host sent. It is stopped until {@link resume}. */
  static receive(host: Host, text: string): Guest {
    const state = parseTimebase(text)
    const vm = host.createVm()
    try {
      const guest = new Guest(
        vm,
        state.vcpus.map(({ id }) => id),
      )
      loadTimebase(guest.#vcpus, state, { maxDowntimeNs: LONGEST_MOVE_NS })
      return guest
    } catch (error) {
      vm.close()
      throw error
    }
  }

  get running(): boolean {
    return this.#running
  }

  get vcpus(): readonly Vcpu[] {
    return this.#vcpus
  }

  /** Plugs in another vCPU, which has the guest's timebase from its first instruction on. */
  plug(): Vcpu {
    const [first] = this.#vcpus
    if (first === undefined) throw new Error('A guest has at least one vCPU')
    const vcpu = this.#vm.createVcpu(this.#vcpus.length)
    inheritTimebase(first, vcpu)
    this.#vcpus.push(vcpu)
    return vcpu
  }

  /** Stops the vCPUs. */
  pause(): void {
    this.#running = false
  }

  resume(): void {
    this.#running = true
  }

  /** Saves a paused guest as the text that {@link receive} takes. */
  send(): string {
    return serializeTimebase(saveTimebase(this.#vcpus))
  }

  close(): void {
    this.#running = false
    this.#vm.close()
  }
}

/**
 * Moves a guest. Afterwards it runs on the other host. If that host refuses it, it goes on here, and the
 * error says why.
 *
 * @param wire brings the text to the other host
 */
export async function migrate(
  guest: Guest,
  destination: Host,
  wire: (text: string) => Promise<string>,
): Promise<Guest> {
  guest.pause()
  try {
    const moved = Guest.receive(destination, await wire(guest.send()))
    guest.close()
    moved.resume()
    return moved
  } catch (error) {
    guest.resume()
    throw error
  }
}
