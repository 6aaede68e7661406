import { actualBackend } from '../kernel/backend.ts'
import { openHost } from '../kvm/host.ts'
import { planTimebase } from '../timebase/plan.ts'
import type { TimebasePlan } from '../timebase/plan.ts'
import { grouped, json, milliseconds, signed, table } from './print.ts'
import { readState } from './state-file.ts'
import { heading } from './terminal.ts'

export interface PlanCommandOptions {
  readonly json?: boolean
  readonly downtime?: 'advance' | 'freeze'
  readonly rounding?: 'nearest' | 'up'
  readonly maxDowntimeNs?: bigint
}

/** The command `plan`: shows what a load of a saved timebase would do on this host now. It changes nothing. */
export async function planFile(file: string, options: PlanCommandOptions): Promise<number> {
  const state = await readState(file)
  const backend = actualBackend()
  using host = openHost({ backend })
  const { json: asJson = false, ...planOptions } = options
  const plan = planTimebase(state, host.sample(), planOptions)
  console.log(asJson ? json({ backend, ...plan }) : inWords(plan, state.timebaseFrequency, backend))
  return 0
}

function inWords(plan: TimebasePlan, frequency: bigint, backend: string): string {
  const inMs = (ns: bigint) => `${(Number(ns) / 1e6).toFixed(3)} ms`
  const host = backend === 'kvm' ? 'this host' : 'the software model'
  return [
    heading(`A load on ${host} at this moment would`),
    table([
      ['write TB_OFFSET', `${grouped(BigInt.asIntN(64, plan.offset))} ticks`],
      ['let the guest go on at', `${grouped(plan.guestTimebase)} ticks`],
      [
        'advance its timebase by',
        `${milliseconds(plan.advancedTicks, frequency)}, ${signed(plan.advancedTicks)} ticks`,
      ],
      [
        'leave it ahead for rounding by',
        `${milliseconds(plan.roundingTicks, frequency)}, ${signed(plan.roundingTicks)} ticks`,
      ],
      ['count as downtime', inMs(plan.downtimeNs)],
      ['find this wall clock ahead by', inMs(plan.clockDifferenceNs)],
      ['know both clocks to within', inMs(plan.uncertaintyNs)],
      [
        'be off in all by at most',
        plan.errorNs === undefined
          ? 'not known: a wall clock is not synchronised, or does not tell'
          : inMs(plan.errorNs),
      ],
    ]),
  ].join('\n')
}
