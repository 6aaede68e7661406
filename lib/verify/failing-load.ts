import { TimebaseNotAppliedError } from '../errors.ts'
import { Host } from '../kvm/host.ts'
import { FailingKernel } from '../testing/failing-kernel.ts'
import { RunningGuest } from './guest.ts'
import { run } from './run.ts'
import { count, sum } from './trial.ts'
import type { Found, Trial } from './trial.ts'

const OFFSET = 5n << 40n
const AWAY_NS = 1_000_000_000n

/**
 * A load that the kernel refuses, at its first write, its second, and so on: each time the vCPUs hold what
 * they held, and the guest goes on as if there had been no load.
 */
export async function failingLoad(trial: Trial): Promise<Found> {
  const { problems } = trial
  const kernel = new FailingKernel(trial.host.kernel)
  using host = new Host(kernel)
  using guest = new RunningGuest(host, 'watch', trial.vcpus)
  for (const vcpu of guest.vcpus) vcpu.set('TB_OFFSET', OFFSET)
  await run(guest, trial)
  let failed = 0
  while (refusedAt(failed, kernel, guest, trial)) {
    failed++
    await run(guest, trial)
    trial.tell(`${failed} failed`)
  }
  problems.expect(failed >= trial.vcpus, () => `only ${failed} writes of a load could fail`)
  await run(guest, trial)
  const seen = guest.vcpus.map((_, vcpu) => guest.watched(vcpu))
  return {
    figures: [
      count('failed loads', failed),
      count('steps back', sum(seen.map(({ backwardSteps }) => backwardSteps))),
    ],
  }
}

/** Loads with a write that fails. Returns false if the load has fewer writes, and so succeeded. */
function refusedAt(
  write: number,
  kernel: FailingKernel,
  guest: RunningGuest,
  { calls, problems }: Trial,
): boolean {
  const saved = calls.saveTimebase(guest.vcpus)
  const before = registersOf(guest)
  kernel.fail({ errno: 'EIO', operation: 'KVM_SET_ONE_REG', skip: write })
  try {
    calls.loadTimebase(guest.vcpus, { ...saved, timeOfDayNs: saved.timeOfDayNs - AWAY_NS })
    return false
  } catch (error) {
    if (!(error instanceof TimebaseNotAppliedError)) throw error
    problems.expect(
      error.notRestored.length === 0,
      () => `after a failure of write ${write + 1} not all was put back: ${error.message}`,
    )
    const after = registersOf(guest)
    problems.expect(
      after === before,
      () => `after a failure of write ${write + 1} the vCPUs hold ${after}, and before ${before}`,
    )
    return true
  } finally {
    kernel.clearFaults()
  }
}

function registersOf({ vcpus }: RunningGuest): string {
  return vcpus
    .map((vcpu) => {
      const expiry = vcpu.has('DEC_EXPIRY') ? vcpu.get('DEC_EXPIRY') : 'none'
      return `TB_OFFSET ${vcpu.get('TB_OFFSET')} and DEC_EXPIRY ${expiry}`
    })
    .join(', ')
}
