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
  /** What stands for them, in a sentence or two. */
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
      `so the source plays a host that was started ${SOURCE_DAYS} days earlier: that much is added to what it reads.`,
  }
}

function modelHosts(): DemoHosts {
  return {
    source: new Host(new SoftwareKernel({ timebase: SOURCE_DAYS * TICKS_PER_DAY })),
    destination: new Host(new SoftwareKernel({ timebase: DESTINATION_DAYS * TICKS_PER_DAY })),
    explanation:
      `This is no POWER host, so two software models of KVM stand in: one up for ${SOURCE_DAYS} days, one for ${DESTINATION_DAYS}. ` +
      'For real KVM on this machine, in an emulated POWER host: npm run power -- demo',
  }
}

/** The real kernel, seen from a host whose timebase is ahead by so many ticks. */
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
