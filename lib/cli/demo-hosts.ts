import { actualBackend } from '../kernel/backend.ts'
import { Host } from '../kvm/host.ts'
import { NativeKernel } from '../kernel/native.ts'
import { SoftwareKernel } from '../kernel/software/kernel.ts'

const TICKS_PER_DAY = 512_000_000n * 86_400n
const SOURCE_DAYS = 90n
const DESTINATION_DAYS = 3n

/** The two hosts between which the demo moves a guest, whose timebases started at different times. */
export interface DemoHosts {
  readonly source: Host
  readonly destination: Host
  /** Explains to the reader of the demo what the two hosts are. */
  readonly explanation: string
}

export function demoHosts(): DemoHosts {
  return actualBackend() === 'kvm' ? realHosts() : modelHosts()
}

function realHosts(): DemoHosts {
  const destination = new Host(new NativeKernel())
  return {
    source: new Host(new DisplacedKernel(SOURCE_DAYS * TICKS_PER_DAY)),
    destination,
    explanation:
      'The vCPUs of both hosts are real ones, of the KVM of this machine. It has one timebase only, ' +
      `so the source pretends to be a host that was started ${SOURCE_DAYS} days earlier: that much is added to the timebase that it reads.`,
  }
}

function modelHosts(): DemoHosts {
  return {
    source: new Host(new SoftwareKernel({ timebase: SOURCE_DAYS * TICKS_PER_DAY })),
    destination: new Host(new SoftwareKernel({ timebase: DESTINATION_DAYS * TICKS_PER_DAY })),
    explanation:
      `This is not a POWER host, so the hosts are two software models of KVM: one that has been up for ${SOURCE_DAYS} days, and one for ${DESTINATION_DAYS}. ` +
      'To run this on real KVM in an emulated POWER host, in a clone of the project: npm run power -- demo',
  }
}

/** The real kernel, but with a timebase that is ahead by a number of ticks. */
class DisplacedKernel extends NativeKernel {
  readonly #ticks: bigint

  constructor(ticks: bigint) {
    super()
    this.#ticks = ticks
  }

  override timebase(): bigint {
    const ticks = super.timebase()
    return ticks < 0n ? ticks : BigInt.asUintN(64, ticks + this.#ticks)
  }

  override sample(into: BigUint64Array): number {
    const result = super.sample(into)
    into[0] = BigInt.asUintN(64, (into[0] ?? 0n) + this.#ticks)
    return result
  }
}
