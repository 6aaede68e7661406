import { parseRegisters, serializeRegisters } from '../../../lib/index.ts'
import type { Host } from '../../../lib/index.ts'
import { TestGuest } from '../guest/index.ts'
import { sum } from '../guest/report.ts'
import { newAlgorithm } from './algorithms.ts'
import type { Algorithm, AlgorithmName } from './algorithms.ts'
import { packGuest, unpackGuest } from './parcel.ts'
import type { Parcel } from './parcel.ts'
import { program } from './program.ts'

/** The time that a guest spends on a host. Ticks are decimal strings, unsigned but for `offset`. */
export interface Stay {
  readonly host: 'first' | 'second'
  /** The host's timebase when the guest's was loaded, and when it was saved. */
  readonly from: string
  readonly until: string
  /** TB_OFFSET, as the kernel holds it. */
  readonly offset: string
  /** How often the guest has read its timebase since it was born, and how often it was less than before. */
  readonly reads: string
  readonly backwardSteps: string
}

/** A guest that has stopped, as it goes over the wire. */
export interface Departure {
  readonly stay: Stay
  readonly saved: string
  readonly registers: readonly string[]
  readonly parcel: Parcel
}

/** A guest on its way between the hosts, on this one. */
export class Visitor {
  readonly guest: TestGuest
  readonly #algorithm: Algorithm
  readonly #host: Stay['host']
  #from = 0n

  constructor(host: Host, which: Stay['host'], algorithm: AlgorithmName, vcpus: number) {
    this.guest = new TestGuest(host, program, vcpus)
    this.#host = which
    this.#algorithm = newAlgorithm(algorithm)
  }

  async arrive({ saved, registers, parcel }: Omit<Departure, 'stay'>): Promise<void> {
    unpackGuest(this.guest, parcel)
    registers.forEach((text, vcpu) => this.guest.vcpus[vcpu]?.restore(parseRegisters(text)))
    await this.begin(saved)
  }

  async begin(saved: string): Promise<void> {
    this.#from = await this.#algorithm.load(this.guest, saved)
    this.guest.start()
  }

  depart(): Departure {
    const { guest } = this
    guest.stop()
    const { words, hostTimebase } = this.#algorithm.save(guest)
    const seen = guest.vcpus.map((_, vcpu) => guest.watched(vcpu))
    const stay = {
      host: this.#host,
      from: this.#from.toString(),
      until: hostTimebase.toString(),
      offset: BigInt.asIntN(64, guest.vcpus[0]?.get('TB_OFFSET') ?? 0n).toString(),
      reads: sum(seen.map(({ reads }) => reads)).toString(),
      backwardSteps: sum(seen.map(({ backwardSteps }) => backwardSteps)).toString(),
    }
    const registers = guest.vcpus.map((vcpu) => serializeRegisters(vcpu.snapshot()))
    const parcel = packGuest(guest)
    guest.close()
    return { stay, saved: words, registers, parcel }
  }
}
