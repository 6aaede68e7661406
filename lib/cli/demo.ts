import { setTimeout as wait } from 'node:timers/promises'
import type { Host } from '../kvm/host.ts'
import { loadTimebase } from '../timebase/load.ts'
import { saveTimebase } from '../timebase/save.ts'
import { parseTimebase, serializeTimebase } from '../timebase/state.ts'
import { TIMEBASE_OFFSET_STEP } from '../timebase/plan.ts'
import type { Vcpu } from '../kvm/vcpu.ts'
import { demoHosts } from './demo-hosts.ts'
import type { DemoHosts } from './demo-hosts.ts'
import { grouped, json, milliseconds, seconds, signed, table } from './print.ts'
import { heading, paragraph, padStart, styled } from './terminal.ts'

const VCPUS = 4
const RUN_MS = 250
const WIRE_MS = 100

/** The error, in ns, that synchronising a wall clock can add to the pause that the demo makes. */
const SLEW_NS = 1_000_000n

/** The command `demo` moves a guest's timebase from one host to another. Returns 1 if the guest would have noticed. */
export async function demo(options: { json?: boolean }): Promise<number> {
  const hosts = demoHosts()
  using source = hosts.source
  using destination = hosts.destination
  const move = await moveGuest(source, destination)
  console.log(options.json ? json({ ...move, backend: source.backend }) : inWords(hosts, move))
  return move.verdict.ok ? 0 : 1
}

type Move = Awaited<ReturnType<typeof moveGuest>>

async function moveGuest(source: Host, destination: Host) {
  const frequency = source.timebaseFrequency
  using sourceVm = source.createVm()
  const before = createVcpus(sourceVm)
  // A monitor starts its guest's timebase at 0. The kernel rounds this offset up to a step.
  const origin = BigInt.asUintN(64, -source.timebase())
  for (const vcpu of before) vcpu.set('TB_OFFSET', origin)
  const started = reading(source, before)
  await wait(RUN_MS)
  const decExpiry = guestTimebase(source, before[0]) + 2n * frequency
  for (const vcpu of before) vcpu.write({ DEC_EXPIRY: decExpiry })

  const stopped = reading(source, before)
  const saving = process.hrtime.bigint()
  const text = serializeTimebase(saveTimebase(before))
  const saveNs = process.hrtime.bigint() - saving

  await wait(WIRE_MS)

  using destinationVm = destination.createVm()
  const after = createVcpus(destinationVm)
  const loading = process.hrtime.bigint()
  const state = parseTimebase(text)
  const outcome = loadTimebase(after, state)
  const loadNs = process.hrtime.bigint() - loading
  const loaded = reading(destination, after)

  // In perfect time the guest reads what it would have read on the source, which is taken between two
  // readings of the source's timebase.
  const earlier = guestTimebase(source, before[0])
  const now = guestTimebase(destination, after[0])
  const later = guestTimebase(source, before[0])
  const halfApart = BigInt.asUintN(64, later - earlier) / 2n
  const errorTicks = BigInt.asIntN(64, now - (earlier + halfApart))
  // A busy machine may run something else between two readings, so the error is only known to this.
  const errorUncertaintyTicks =
    halfApart + ((outcome.uncertaintyNs + SLEW_NS) * frequency) / 1_000_000_000n
  const verdict = {
    neverBack: BigInt.asIntN(64, loaded.guestTimebase - state.guestTimebase) >= 0n,
    vcpusAgree: after.every((vcpu) => vcpu.get('TB_OFFSET') === outcome.offset),
    decrementersMoved: after.every((vcpu) => vcpu.get('DEC_EXPIRY') === decExpiry),
    withinHalfAStep: magnitude(errorTicks) <= TIMEBASE_OFFSET_STEP / 2n + errorUncertaintyTicks,
  }
  return {
    frequency,
    started,
    stopped,
    state,
    wireBytes: text.length,
    outcome,
    loaded,
    decExpiry,
    saveNs,
    loadNs,
    errorTicks,
    errorUncertaintyTicks,
    verdict: { ok: Object.values(verdict).every(Boolean), ...verdict },
  }
}

function createVcpus(vm: { createVcpu(id: number): Vcpu }): Vcpu[] {
  return Array.from({ length: VCPUS }, (_, id) => vm.createVcpu(id))
}

function guestTimebase(host: Host, vcpu: Vcpu | undefined): bigint {
  return BigInt.asUintN(64, host.timebase() + (vcpu?.get('TB_OFFSET') ?? 0n))
}

function reading(host: Host, vcpus: readonly Vcpu[]) {
  const offset = vcpus[0]?.get('TB_OFFSET') ?? 0n
  const hostTimebase = host.timebase()
  return { hostTimebase, offset, guestTimebase: BigInt.asUintN(64, hostTimebase + offset) }
}

function magnitude(ticks: bigint): bigint {
  return ticks < 0n ? -ticks : ticks
}

function inWords({ explanation }: DemoHosts, move: Move): string {
  const { frequency, started, stopped, state, outcome, loaded, verdict } = move
  const ms = (ticks: bigint) => milliseconds(ticks, frequency)
  const yes = (ok: boolean) => (ok ? styled('green', 'yes') : styled('red', 'NO'))
  return `${heading("A guest's timebase moves from one host to another")}

${paragraph(
  `Every POWER processor counts a timebase, ${grouped(frequency)} ticks a second, from its own start. ` +
    'A guest keeps its clock by it. The value that the guest reads is host timebase + TB_OFFSET, modulo 2^64. ' +
    `When the guest moves, the offset must be chosen anew, or its clock jumps. ${explanation}`,
)}

${heading(`1. A guest of ${VCPUS} vCPUs starts on the source host`)}
${rows(started, frequency)}

${heading(`2. It runs for ${RUN_MS} ms and is stopped`)}
${rows(stopped, frequency)}

${heading('3. saveTimebase(vcpus) takes its timebase and the time of day')}
${indented([
  ['guest timebase', grouped(state.guestTimebase), seconds(state.guestTimebase, frequency)],
  ['decrementers fire at', grouped(move.decExpiry), '2 s after the stop'],
  ['as JSON on the wire', `${grouped(move.wireBytes)} bytes`, `after ${microseconds(move.saveNs)}`],
])}

${heading(`4. The wire takes ${WIRE_MS} ms; loadTimebase(vcpus, state) continues it on the destination host`)}
${rows(loaded, frequency)}
${indented([
  [
    'the guest was away',
    ms((outcome.downtimeNs * frequency) / 1_000_000_000n),
    'by the two wall clocks',
  ],
  ['its timebase went on by', ms(outcome.advancedTicks), `${signed(outcome.advancedTicks)} ticks`],
  [
    'of that is rounding',
    ms(outcome.roundingTicks),
    'TB_OFFSET is a multiple of a step, 2^24 ticks: 32.768 ms at 512 MHz',
  ],
  ['loadTimebase took', microseconds(move.loadNs), ''],
])}

${heading('5. What the guest sees')}
${indented([
  [
    'never goes back',
    yes(verdict.neverBack),
    `${signed(BigInt.asIntN(64, loaded.guestTimebase - state.guestTimebase))} ticks since it was saved`,
  ],
  [
    'all vCPUs agree',
    yes(verdict.vcpusAgree),
    `${VCPUS} times TB_OFFSET ${grouped(BigInt.asIntN(64, outcome.offset))}`,
  ],
  ['decrementers kept', yes(verdict.decrementersMoved), 'they fire at the same guest timebase'],
  [
    'right to half a step',
    yes(verdict.withinHalfAStep),
    `${ms(move.errorTicks)} ± ${ms(move.errorUncertaintyTicks)} from perfect time; half a step is ${ms(TIMEBASE_OFFSET_STEP / 2n)}`,
  ],
])}

${verdict.ok ? styled('green', 'The guest did not notice.') : styled('red', 'The guest would have noticed.')}`
}

function rows(
  at: { hostTimebase: bigint; offset: bigint; guestTimebase: bigint },
  frequency: bigint,
): string {
  return indented([
    ['host timebase', grouped(at.hostTimebase), seconds(at.hostTimebase, frequency)],
    ['TB_OFFSET', signed(BigInt.asIntN(64, at.offset)), ''],
    ['guest timebase', grouped(at.guestTimebase), seconds(at.guestTimebase, frequency)],
  ])
}

function indented(lines: readonly (readonly [string, string, string])[]): string {
  const cells = lines.map(([name, value, remark]) => [
    `   ${name.padEnd(24)}${padStart(value, 24)}`,
    remark,
  ])
  return table(cells)
}

function microseconds(ns: bigint): string {
  return `${(Number(ns) / 1000).toFixed(0)} µs`
}
