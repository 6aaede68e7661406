import { actualBackend } from '../kernel/backend.ts'
import type { Backend } from '../kernel/backend.ts'
import { checkObject, checkOptionNames } from '../checks.ts'
import { SoftwareKernel } from '../kernel/software/kernel.ts'
import type { SoftwareKernelOptions } from '../kernel/software/kernel.ts'
import { HandMovedTime } from './hand-moved-time.ts'
import { ClockedNativeKernel, TestHost } from './test-host.ts'

/**
 * The options of {@link hostPair}.
 *
 * @group Two hosts
 */
export interface HostPairOptions {
  /**
   * The kernel that has the vCPUs: `'kvm'`, `'software'`, or `'auto'`, which is KVM on POWER and the model on
   * other machines. The default is the environment variable KVM_PPC_BACKEND, or `'auto'`. On either the test
   * moves the clocks.
   */
  readonly backend?: Backend
  /**
   * The machine and clocks of the source. On KVM the clocks can be chosen, `timebase`, `timeOfDayNs`,
   * `timebaseFrequency` and `wallClock`, and the registers that it is `without`.
   */
  readonly source?: Omit<SoftwareKernelOptions, 'time'>
  /** The machine and clocks of the destination. */
  readonly destination?: Omit<SoftwareKernelOptions, 'time'>
}

/**
 * Two hosts for a test. `using` closes both, with their VMs and vCPUs.
 *
 * @group Two hosts
 */
export interface HostPair {
  /** The clock that drives both hosts: `time.pass(1_000_000_000n)` lets a second pass. */
  readonly time: HandMovedTime
  readonly source: TestHost
  readonly destination: TestHost
  /** Closes both hosts, for `using`. */
  [Symbol.dispose](): void
}

const TIME_OF_DAY_NS = 1_700_000_000_000_000_000n
/** The options of a host that real KVM takes as well. */
const everywhere = ['timebase', 'timeOfDayNs', 'timebaseFrequency', 'wallClock', 'without']
const modelNames = ['linux', 'machine', 'threadsPerCore']

/**
 * Makes two hosts between which a test moves a guest. By default their wall clocks agree, their timebases
 * differ like those of two machines, and both run at 512 MHz. Time stands still until the test lets it pass,
 * so that a move does the same to a guest's clock on every run:
 *
 *     using pair = hostPair()
 *     const { source, destination, time } = pair
 *     const state = saveTimebase(vcpusOn(source))
 *     time.pass(2_000_000_000n)
 *     loadTimebase(vcpusOn(destination), state)
 *
 * The same test runs on the model and on POWER, where the vCPUs and their registers are those of real KVM
 * while the test still moves the timebase and wall clock that the library reads. A load with `align` waits
 * for time to pass by itself, so it needs another host: `new Host(new SoftwareKernel())`.
 *
 * @param options the backend, and the machine and clocks of each host
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
    const known = [...everywhere, ...(isModel ? modelNames : [])]
    checkOptionNames(`options.${side} on ${isModel ? 'the model' : 'KVM'}`, chosen, known)
    const clocks = { timebase, timeOfDayNs: TIME_OF_DAY_NS, ...chosen, time: time.read }
    return isModel ? new SoftwareKernel(clocks) : new ClockedNativeKernel(clocks)
  }
  // Both kernels are made before a device is opened, so that a wrong option leaves nothing open.
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
