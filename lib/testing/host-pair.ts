import { actualBackend } from '../kernel/backend.ts'
import type { Backend } from '../kernel/backend.ts'
import { checkObject, checkOptionNames } from '../checks.ts'
import { SoftwareKernel } from '../kernel/software/kernel.ts'
import type { SoftwareKernelOptions } from '../kernel/software/kernel.ts'
import { HandMovedTime } from './hand-moved-time.ts'
import { ClockedNativeKernel, TestHost } from './test-host.ts'

/**
 * What the two hosts of a {@link HostPair} are.
 *
 * @group Two hosts
 */
export interface HostPairOptions {
  /**
   * Where the vCPUs are: `'kvm'` or `'software'`; `'auto'`, the default, is KVM on POWER and the model
   * elsewhere. The environment variable KVM_PPC_BACKEND sets the default. The clocks are the test's on
   * either.
   */
  readonly backend?: Backend
  /**
   * What the source is like. On KVM only its clocks can be chosen: `timebase`, `timeOfDayNs`,
   * `timebaseFrequency` and `wallClock`.
   */
  readonly source?: Omit<SoftwareKernelOptions, 'time'>
  /** What the destination is like, told as `source` is. */
  readonly destination?: Omit<SoftwareKernelOptions, 'time'>
}

/**
 * Two hosts for a test. `using` closes both, with their VMs and vCPUs.
 *
 * @group Two hosts
 */
export interface HostPair {
  /** What makes time pass on both: `time.pass(1_000_000_000n)` is a second. */
  readonly time: HandMovedTime
  readonly source: TestHost
  readonly destination: TestHost
  /** Closes both hosts, for `using`. */
  [Symbol.dispose](): void
}

const TIME_OF_DAY_NS = 1_700_000_000_000_000_000n
const clockNames = ['timebase', 'timeOfDayNs', 'timebaseFrequency', 'wallClock']
const modelNames = ['linux', 'machine', 'without', 'threadsPerCore']

/**
 * Two hosts between which a test moves a guest. Unless told, their wall clocks agree, their timebases
 * do not, as two machines' do not, and both run at 512 MHz. Time stands still until the test lets it
 * pass, so what a move does to a guest's clock is the same on every run:
 *
 *     using pair = hostPair()
 *     const { source, destination, time } = pair
 *     const state = saveTimebase(vcpusOn(source))
 *     time.pass(2_000_000_000n)
 *     loadTimebase(vcpusOn(destination), state)
 *
 * On POWER the vCPUs and their registers are those of real KVM, and what the library reads as the
 * host's timebase and wall clock is the test's: so one test runs on both. A load with `align` waits
 * for time that passes by itself, and wants another host: `new Host(new SoftwareKernel())`.
 *
 * @param options the backend, and what each host is like
 * @throws TypeError, RangeError for an option of the wrong type or range
 * @throws OneRegError ERR_KVM_UNAVAILABLE on KVM, as `openHost`
 * @example
 * ```ts
 * using pair = hostPair()
 * const { source, destination, time } = pair
 * ```
 * @group Two hosts
 */
export function hostPair(options: HostPairOptions = {}): HostPair {
  checkObject('options', options)
  checkOptionNames('options', options, ['backend', 'source', 'destination'])
  const time = new HandMovedTime()
  const makeKernel = (side: 'source' | 'destination', timebase: bigint) => {
    const isModel = actualBackend(options.backend) === 'software'
    const chosen = checkObject(`options.${side}`, options[side] ?? {})
    const known = isModel ? [...clockNames, ...modelNames] : clockNames
    checkOptionNames(`options.${side} on ${isModel ? 'the model' : 'KVM'}`, chosen, known)
    const clocks = { timebase, timeOfDayNs: TIME_OF_DAY_NS, ...chosen, time: time.read }
    return isModel ? new SoftwareKernel(clocks) : new ClockedNativeKernel(clocks)
  }
  // Nothing is opened before the options of both are found right.
  const kernels = [
    makeKernel('source', 7_000_000_000_123n),
    makeKernel('destination', 2_500_000_000_456n),
  ] as const
  const [source, destination] = [new TestHost(kernels[0]), new TestHost(kernels[1])]
  return {
    time,
    source,
    destination,
    [Symbol.dispose]: () => {
      source.close()
      destination.close()
    },
  }
}
