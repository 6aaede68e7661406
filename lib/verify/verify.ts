import { checkFromOne, checkObject, checkOptionNames, wrongType } from '../checks.ts'
import { unavailable } from '../errors.ts'
import { Host } from '../kvm/host.ts'
import { inheritTimebase } from '../timebase/inherit.ts'
import { loadTimebase } from '../timebase/load.ts'
import { saveTimebase } from '../timebase/save.ts'
import type { Certificate, VerifyOptions } from './certificate.ts'
import { loadGuestAddon } from './guest.ts'
import { tryAll } from './try-all.ts'

const DEFAULT_SECONDS = 10
const MOST_SECONDS = 3600
const DEFAULT_VCPUS = 2
const MOST_VCPUS = 1024

/**
 * Tries on this machine and kernel what the library promises. Small guests of its own, whose vCPUs read their
 * timebase without pause, are moved in every way, get a vCPU more, and see loads that fail; each reading is
 * compared with the one before and with the host's timebase. No other guest is touched, and nothing is left.
 *
 *     const { ok, promises } = await verify(openHost())
 *
 * @param host a POWER host with real KVM, from `openHost()`
 * @param options how long, and with how many vCPUs
 * @returns what was seen of each promise; a promise that is broken does not reject it
 * @throws TypeError, RangeError for a wrong argument
 * @throws OneRegError ERR_KVM_UNAVAILABLE if the host is the software model, which runs no guests, or the addon
 *   with the guest cannot be loaded; ERR_KVM_CLOSED
 * @example
 * ```ts
 * using host = openHost()
 * const certificate = await verify(host, { seconds: 5 })
 * ```
 * @group Verifying a host
 */
export async function verify(host: Host, options: VerifyOptions = {}): Promise<Certificate> {
  if (!(host instanceof Host)) throw wrongType('host', 'a Host', host)
  checkOptionNames('options', checkObject('options', options), [
    'seconds',
    'vcpus',
    'signal',
    'onProgress',
  ])
  const { seconds = DEFAULT_SECONDS, vcpus = DEFAULT_VCPUS, signal, onProgress } = options
  checkFromOne('options.seconds', seconds, MOST_SECONDS)
  checkFromOne('options.vcpus', vcpus, MOST_VCPUS)
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    throw wrongType('options.signal', 'an AbortSignal', signal)
  }
  if (onProgress !== undefined && typeof onProgress !== 'function') {
    throw wrongType('options.onProgress', 'a function', onProgress)
  }
  if (host.backend !== 'kvm') throw notOnModel()
  host.system.checkOpen()
  loadGuestAddon()
  const calls = { saveTimebase, loadTimebase, inheritTimebase }
  return tryAll(host, calls, { ...options, seconds, vcpus })
}

/** The error for a host that runs no guests. */
export function notOnModel(): Error {
  return unavailable(
    'not-kvm',
    `Only a guest that runs can be asked whether its timebase goes back, and the software model (on ` +
      `${process.platform}-${process.arch}) runs none. Use a POWER host with KVM, or in a clone of the project an ` +
      'emulated one: npm run power -- verify',
  )
}
