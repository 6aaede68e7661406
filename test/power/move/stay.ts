import type { Host } from '../../../lib/index.ts'
import { TestGuest } from '../guest/index.ts'
import { newAlgorithm } from './algorithms.ts'
import type { Algorithm, AlgorithmName } from './algorithms.ts'
import { packGuest, unpackGuest } from './parcel.ts'
import type { Parcel } from './parcel.ts'

/** The time that a guest spends on a host. Ticks; all but `offset` and `host` are decimal strings of u64. */
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
    // From 0: also a first value that is below the last one is to be noted.
    this.guest.noteNextStep(0n)
    await this.#algorithm.load(this.guest, saved)
    this.#from = this.guest.host.timebase()
    this.guest.start()
  }

  depart(): Departure {
    const { guest } = this
    guest.stop()
    const until = guest.host.timebase()
    const saved = this.#algorithm.save(guest)
    const seen = guest.vcpus.map((_, vcpu) => guest.watched(vcpu))
    const reads = seen.map(({ first = 0n, last }) => ({ first, last }))
    const stay = {
      host: this.#host,
      from: this.#from.toString(),
      until: until.toString(),
      offset: BigInt.asIntN(64, guest.vcpus[0]?.get('TB_OFFSET') ?? 0n).toString(),
      firstRead: reads
        .reduce((least, { first }) => (first < least ? first : least), reads[0]?.first ?? 0n)
        .toString(),
      lastRead: reads.reduce((most, { last }) => (last > most ? last : most), 0n).toString(),
    }
    const parcel = packGuest(guest)
    guest.close()
    return { stay, saved, parcel }
  }
}
