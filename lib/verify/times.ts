import { setImmediate } from 'node:timers/promises'
import { parseTimebase, serializeTimebase } from '../timebase/state.ts'
import { nanoseconds } from './trial.ts'
import type { Calls, Found, Trial } from './trial.ts'
import type { Vcpu } from '../kvm/vcpu.ts'

const ROUNDS = 1000
/** How many rounds are made before other work gets its turn. */
const TURN = 20

/** How long a save and a load take, in ns. */
interface Times {
  readonly save: bigint
  readonly load: bigint
}

/**
 * How long the first and the thousandth save and load take, of vCPUs that never run. The first is that of the
 * process only if it has made no others before. Nothing is judged by it.
 */
export async function times(trial: Trial): Promise<Found> {
  using vm = trial.host.createVm()
  const vcpus = Array.from({ length: trial.vcpus }, (_, id) => vm.createVcpu(id))
  const first = timed(vcpus, trial.calls)
  let last = first
  for (let round = 2; round <= ROUNDS; round++) {
    last = timed(vcpus, trial.calls)
    if (round % TURN !== 0) continue
    await setImmediate()
    trial.signal.throwIfAborted()
    trial.tell(`${round} rounds`)
  }
  return {
    figures: [
      nanoseconds('first save', first.save),
      nanoseconds('first load', first.load),
      nanoseconds('1000th save', last.save),
      nanoseconds('1000th load', last.load),
    ],
  }
}

/** A save with its text, and a load with the parsing of it. */
function timed(vcpus: readonly Vcpu[], { saveTimebase, loadTimebase }: Calls): Times {
  const began = process.hrtime.bigint()
  const text = serializeTimebase(saveTimebase(vcpus))
  const saved = process.hrtime.bigint()
  loadTimebase(vcpus, parseTimebase(text))
  return { save: saved - began, load: process.hrtime.bigint() - saved }
}
