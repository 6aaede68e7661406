import { expiryToWrite } from '../kvm/decrementer.ts'
import { parseTimebase, serializeTimebase } from '../timebase/state.ts'
import type { TimebaseState } from '../timebase/state.ts'
import { RunningGuest } from './guest.ts'
import { ahead, count, largest, smallest, ticks, until } from './trial.ts'
import type { Found, Trial } from './trial.ts'

const SECONDS_PER_YEAR = 31_557_600n
/** The waits that are tried: the longer ones for a machine so busy that the first is over before the move. */
const WAITS_SECONDS = [2n, 4n, 4n, 4n]

/**
 * Moves a guest whose decrementers are armed. DEC_EXPIRY must arrive to the tick, and each interrupt must come.
 *
 * How late it comes is only told. KVM reads the timebase, the decrementer and its clock one after the other,
 * and on a busy machine, above all an emulated one, something else may run between them. Early by half a
 * second is more than that explains.
 */
export async function decrementer(downtime: 'advance' | 'freeze', trial: Trial): Promise<Found> {
  const { problems } = trial
  const { timebaseFrequency: frequency } = trial.host
  for (const seconds of WAITS_SECONDS) {
    using source = new RunningGuest(trial.host, 'decrementer', trial.vcpus)
    const armedFor = seconds * frequency
    if (!(await runArmed(source, armedFor, trial))) continue
    using destination = new RunningGuest(trial.host, 'decrementer', trial.vcpus)
    moveArmed(source, destination, downtime, trial)
    const late = await fire(destination, armedFor, trial)
    const earliest = smallest(late)
    problems.expect(
      earliest >= -frequency / 2n,
      () => `a decrementer fired ${-earliest} ticks early`,
    )
    return {
      figures: [
        count('interrupts', late.length),
        ticks('earliest', earliest),
        ticks('latest', largest(late)),
      ],
    }
  }
  // Nothing is known then, and nothing is judged.
  return { figures: [count('interrupts: the machine is too busy to stop the guest in time', 0)] }
}

/** Lets each vCPU arm its decrementer. Returns false if one has fired before the guest was stopped. */
async function runArmed(guest: RunningGuest, armedFor: bigint, trial: Trial): Promise<boolean> {
  const vcpus = [...guest.vcpus.keys()]
  // A guest of another time than the host's: it has been up for a year.
  const offset = trial.host.timebaseFrequency * SECONDS_PER_YEAR
  for (const vcpu of guest.vcpus) vcpu.set('TB_OFFSET', offset)
  guest.setDecrementer(armedFor)
  guest.start()
  try {
    const isArmed = () => vcpus.every((vcpu) => guest.decremented(vcpu).last !== 0n)
    await until('a vCPU has not armed its decrementer', isArmed, trial)
  } finally {
    guest.stop()
  }
  return vcpus.every((vcpu) => guest.decremented(vcpu).times === 0n)
}

function moveArmed(
  source: RunningGuest,
  destination: RunningGuest,
  downtime: 'advance' | 'freeze',
  { calls, problems }: Trial,
): void {
  const state = parseTimebase(serializeTimebase(calls.saveTimebase(source.vcpus)))
  destination.takeFrom(source)
  const { guestTimebase } = calls.loadTimebase(destination.vcpus, state, { downtime })
  for (const [index, vcpu] of destination.vcpus.entries()) {
    const held = vcpu.get('DEC_EXPIRY')
    const wanted = expiryToWrite(expiryOf(state, index), guestTimebase)
    problems.expect(
      held === wanted,
      () => `vCPU ${index} holds DEC_EXPIRY ${held} after the load, and ${wanted} was saved`,
    )
  }
}

function expiryOf({ vcpus }: TimebaseState, index: number): bigint {
  const { decExpiry } = vcpus[index] ?? {}
  if (decExpiry === undefined) throw new Error(`No DEC_EXPIRY of vCPU ${index} was saved`)
  return decExpiry
}

/** Runs the guest until all have fired. Returns by how many ticks of its timebase each was late. */
async function fire(guest: RunningGuest, armedFor: bigint, trial: Trial): Promise<bigint[]> {
  const { problems } = trial
  const vcpus = [...guest.vcpus.keys()]
  const lateNow = (vcpu: number, at: bigint) =>
    ahead(at, guest.decremented(vcpu).armedAt + armedFor)
  // By the guest's own time: a machine that is slow does not make an interrupt missing.
  const isLost = (vcpu: number) =>
    lateNow(vcpu, guest.decremented(vcpu).last) > 10n * trial.host.timebaseFrequency
  guest.start()
  try {
    const isOver = (vcpu: number) => guest.decremented(vcpu).times > 0n || isLost(vcpu)
    await until('a decrementer has not fired', () => vcpus.every(isOver), trial)
  } finally {
    guest.stop()
  }
  const fired = vcpus.filter((vcpu) => guest.decremented(vcpu).times > 0n)
  problems.expect(
    fired.length === vcpus.length,
    () => `${vcpus.length - fired.length} decrementers had not fired 10 s after they were due`,
  )
  return fired.map((vcpu) => lateNow(vcpu, guest.decremented(vcpu).firedAt))
}
