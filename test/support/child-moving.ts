import { openHost } from '../../lib/kvm/host.ts'
import { inheritTimebase } from '../../lib/timebase/inherit.ts'
import { loadTimebase } from '../../lib/timebase/load.ts'
import { saveTimebase } from '../../lib/timebase/save.ts'
import { errorOf } from './error-of.ts'

// Moves the time of the vCPUs behind file descriptors 3 and 4, which another process made, and prints
// the errors.
using host = openHost({ backend: 'kvm' })
const [zero, one] = [host.vcpu(3, 0), host.vcpu(4, 1)]
const state = {
  guestTimebase: 1n,
  timeOfDayNs: 0n,
  timebaseFrequency: host.timebaseFrequency,
  uncertaintyNs: 0n,
  offset: 0n,
  vcpus: [],
}
const calls = {
  save: () => saveTimebase([zero, one]),
  load: () => loadTimebase([zero, one], state),
  inherit: () => inheritTimebase(zero, one),
  snapshot: () => zero.snapshot(),
  restore: () => zero.restore({ DAR: 1n, VTB: 2n }),
}
interface Shown {
  code?: unknown
  operation?: unknown
  restored?: unknown
  cause?: unknown
}
const shown = (error: unknown): Shown => {
  const { code, operation, restored, cause } = error as Shown
  return { code, operation, restored, ...(cause instanceof Error && { cause: shown(cause) }) }
}
console.log(
  JSON.stringify(
    Object.fromEntries(Object.entries(calls).map(([name, call]) => [name, shown(errorOf(call))])),
  ),
)
