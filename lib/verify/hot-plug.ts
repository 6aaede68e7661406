import { RunningGuest } from './guest.ts'
import { run } from './run.ts'
import { count, sum } from './trial.ts'
import type { Found, Trial } from './trial.ts'

const OFFSET = 5n << 40n

/** A vCPU joins a guest that has run, and reads the timebase of the others from its first reading on. */
export async function hotPlug(trial: Trial): Promise<Found> {
  const { problems } = trial
  using guest = new RunningGuest(trial.host, 'watch', trial.vcpus)
  for (const vcpu of guest.vcpus) vcpu.set('TB_OFFSET', OFFSET)
  await run(guest, trial)
  const [first] = guest.vcpus
  if (first === undefined) throw new Error('The guest has no vCPU')
  const added = guest.addVcpu()
  const { offset } = trial.calls.inheritTimebase(first, added)
  const held = added.get('TB_OFFSET')
  problems.expect(
    offset === OFFSET && held === OFFSET,
    () => `the new vCPU holds TB_OFFSET ${held}, and the guest has ${OFFSET}`,
  )
  await run(guest, trial)
  const seen = guest.vcpus.map((_, vcpu) => guest.watched(vcpu))
  return {
    figures: [
      count('vCPUs', guest.vcpus.length),
      count('readings', sum(seen.map(({ reads }) => reads))),
      count('steps back', sum(seen.map(({ backwardSteps }) => backwardSteps))),
    ],
  }
}
