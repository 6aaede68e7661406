import type { Host } from '../../../lib/index.ts'
import { TestGuest } from '../guest/index.ts'
import { largest, smallest } from '../guest/report.ts'
import { newAlgorithm } from './algorithms.ts'
import type { Algorithm, AlgorithmName } from './algorithms.ts'
import { packGuest, unpackGuest } from './parcel.ts'
import type { Parcel } from './parcel.ts'

/** The time that a guest spends on a host: ticks as decimal strings, unsigned where not said otherwise. */
export interface Stay {
  readonly host: 'first' | 'second'
  /** The host's timebase when the guest went on, and after it had stopped. */
  readonly from: string
  readonly until: string
  /** TB_OFFSET, signed. */
  readonly offset: string
  /** The first and the last of the timebases that the guest itself read, on any of its vCPUs. */
  readonly firstRead: string
  readonly lastRead: string
  /** From the last value that a vCPU read before this stay to the first one in it, the least of all vCPUs; signed. */
  readonly step: string
}

/** A guest that has stopped, as it goes over the wire. */
export interface Departure {
  readonly stay: Stay
  readonly saved: string
  readonly parcel: Parcel
}

/** A guest on its way between the hosts, on this one. */
export class Visitor {
  readonly guest: TestGuest
  readonly #algorithm: Algorithm
  readonly #host: Stay['host']
  #from = 0n

  constructor(host: Host, which: Stay['host'], algorithm: AlgorithmName, vcpus: number) {
    this.guest = new TestGuest(host, 'watch', vcpus)
    this.#host = which
    this.#algorithm = newAlgorithm(algorithm)
  }

  async arrive({ saved, parcel }: Pick<Departure, 'saved' | 'parcel'>): Promise<void> {
    unpackGuest(this.guest, parcel)
    await this.begin(saved)
  }

  async begin(saved: string): Promise<void> {
    const { guest } = this
    await this.#algorithm.load(guest, saved)
    this.#from = guest.host.timebase()
    // The first value from here on: what a vCPU had read, but not noted, when it was stopped is not one.
    guest.noteNextStep(BigInt.asUintN(64, this.#from + offsetOf(guest)))
    guest.start()
  }

  depart(): Departure {
    const { guest } = this
    guest.stop()
    const until = guest.host.timebase()
    const saved = this.#algorithm.save(guest)
    const seen = guest.vcpus.map((_, vcpu) => guest.watched(vcpu))
    const firsts = seen.map(({ first = 0n }) => first)
    const steps = seen.map(({ step = 0n }) => step)
    const stay = {
      host: this.#host,
      from: this.#from.toString(),
      until: until.toString(),
      offset: BigInt.asIntN(64, offsetOf(guest)).toString(),
      firstRead: smallest(firsts).toString(),
      lastRead: largest(seen.map(({ last }) => last)).toString(),
      step: smallest(steps).toString(),
    }
    const parcel = packGuest(guest)
    guest.close()
    return { stay, saved, parcel }
  }
}

function offsetOf({ vcpus }: TestGuest): bigint {
  return vcpus[0]?.get('TB_OFFSET') ?? 0n
}
