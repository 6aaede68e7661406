import { setTimeout as wait } from 'node:timers/promises'
import {
  Host,
  loadOneRegState,
  NativeKernel,
  parseOneRegState,
  saveOneRegState,
  serializeOneRegState,
  TIMEBASE_OFFSET_STEP,
} from '../../../lib/index.ts'
import { TestGuest } from '../guest/index.ts'
import { tell } from '../host/tell.ts'
import { check, conclude, ms, say } from '../steps.ts'
import { setClockDifference } from './clocks.ts'
import { packGuest, unpackGuest } from './parcel.ts'
import type { Parcel } from './parcel.ts'
import { program } from './program.ts'
import { record } from './record.ts'
import { differing, mark, marks, notHeld } from './survived.ts'
import { Wire } from './wire.ts'
import type { Message } from './wire.ts'

/**
 * The host on which the guest starts and to which it comes back. It leads, says in words what
 * happens, and ends with 1 if the guest saw anything that it should not.
 */

const VCPUS = 4
const RUN_MS = 500
const SECOND = 1_000_000_000n

const settings = [
  { title: 'both clocks are right', skew: 0n },
  { title: "the second host's clock is 5 s ahead", skew: 5n * SECOND },
  { title: "the second host's clock is 30 s behind", skew: -30n * SECOND },
] as const

const host = new Host(new NativeKernel())
const frequency = host.timebaseFrequency
const wire = new Wire('/dev/hvc1')

function milliseconds(ns: bigint): string {
  return `${(Number(ns) / 1e6).toFixed(3)} ms`
}

function ticks(ns: bigint): bigint {
  return (ns * frequency) / SECOND
}

function magnitude(value: bigint): bigint {
  return value < 0n ? -value : value
}

/** The reads and backward steps of all vCPUs since the guest was born, which it has in its memory. */
function whatItSaw(guest: TestGuest) {
  const seen = guest.vcpus.map((_, vcpu) => guest.watched(vcpu))
  return {
    reads: seen.reduce((sum, { reads }) => sum + reads, 0n),
    least: seen.reduce((least, { reads }) => (reads < least ? reads : least), seen[0]?.reads ?? 0n),
    backwardSteps: seen.reduce((sum, { backwardSteps }) => sum + backwardSteps, 0n),
  }
}

async function untilAllRead(guest: TestGuest): Promise<void> {
  while (guest.vcpus.some((_, vcpu) => guest.watched(vcpu).step === undefined)) await wait(5)
}

/** With a limit the second host must refuse a load if its clock is wrong, and change nothing. */
async function refuseByLimit(skew: bigint, load: Message): Promise<void> {
  if (skew === 0n) return
  const [limit, code] = skew > 0n ? [1n, 'ERR_TIMEBASE_DOWNTIME'] : [5n, 'ERR_TIMEBASE_CLOCK']
  const refusal = await wire.ask({ ...load, maxDowntimeNs: (limit * SECOND).toString() })
  say(`   With maxDowntimeNs of ${limit} s the second host says: ${String(refusal['because'])}`)
  check(refusal['refused'] === code, 'the load was refused')
  check(refusal['unchanged'] === true, 'and no register was changed')
}

/** Without a limit the outcome of the load must say how far the clocks are apart. */
function checkClockDifference(skew: bigint, { ns }: { ns: bigint }, there: Message): void {
  const difference = BigInt(there['clockDifferenceNs'] as string)
  const downtime = BigInt(there['downtimeNs'] as string)
  say(
    `   By the two wall clocks ${milliseconds(difference)} passed, of which ${milliseconds(downtime)} count`,
  )
  if (skew >= 0n) return
  check(
    difference > ns && difference < 0n && downtime === 0n,
    'the outcome says by how much its clock is behind, and that no pause counts',
  )
}

async function roundTrip({ title, skew }: (typeof settings)[number]): Promise<void> {
  say(`\n${title[0]?.toUpperCase() ?? ''}${title.slice(1)}`)
  const clocks = await setClockDifference(wire, skew)
  say(
    `   The second one's is ahead by ${milliseconds(clocks.ns)}, known to within ${milliseconds(clocks.error)}`,
  )

  using guest = new TestGuest(host, program, VCPUS)
  // A guest whose time is another than this host's: it has been up for 90 days.
  for (const vcpu of guest.vcpus) vcpu.set('TB_OFFSET', ticks(90n * 86_400n * SECOND))
  for (const vcpu of guest.vcpus) mark(vcpu)
  const marked = marks(guest.vcpus)
  guest.start()
  await untilAllRead(guest)
  await wait(RUN_MS)
  guest.stop()
  const state = saveOneRegState(guest.vcpus)
  const { timebase } = state
  const parcel = packGuest(guest)
  const stayed = BigInt.asUintN(64, timebase.guestTimebase - timebase.offset)
  say(
    `1. The guest is stopped on the first host at ${timebase.guestTimebase}: host ${stayed}, TB_OFFSET ${timebase.offset}`,
  )

  const load = { do: 'load', state: serializeOneRegState(state), parcel }
  await refuseByLimit(skew, load)
  const there = await wire.ask(load)
  const advanced = BigInt(there['advancedTicks'] as string)
  say(
    `2. It goes on on the second host at ${String(there['guestTimebase'])}: host ${String(there['hostTimebase'])}, TB_OFFSET ${String(there['offset'])}`,
  )
  say(
    `   ${ms(advanced)} later than it stopped, of which ${ms(BigInt(there['roundingTicks'] as string))} are rounding`,
  )
  checkClockDifference(skew, clocks, there)
  await wait(RUN_MS)

  const back = await wire.ask({ do: 'give-back' })
  using home = new TestGuest(host, program, VCPUS)
  const returned = parseOneRegState(back['state'] as string)
  unpackGuest(home, back['parcel'] as Parcel)
  home.noteNextStep(returned.timebase.guestTimebase)
  const loaded = loadOneRegState(home.vcpus, returned, { verify: true })
  const { timebase: outcome } = loaded
  const survived = marks(home.vcpus)
  home.start()
  const hostNow = BigInt.asUintN(64, outcome.guestTimebase - outcome.offset)
  const error = BigInt.asIntN(
    64,
    outcome.guestTimebase - timebase.guestTimebase - (hostNow - stayed),
  )
  say(
    `3. It is back on the first host at ${outcome.guestTimebase}: host ${hostNow}, TB_OFFSET ${outcome.offset}`,
  )
  say(
    `   ${ms(outcome.advancedTicks)} later than it stopped there, and ${ms(error)} from where it would be had it stayed`,
  )
  const lost = [...(there['notHeld'] as string[]), ...notHeld(returned, loaded)]
  const count = Object.keys(state.vcpus[0]?.registers ?? {}).length
  check(
    lost.length === 0,
    `both hosts hold the guest's part of the ${count} registers of each vCPU as it was saved: ${lost.join() || 'no difference'}`,
  )
  check(survived === marked, 'every register that was marked has its value after both moves')
  const changed = differing(state, returned)
  check(changed.length === 0, `its running changed ${changed.join() || 'none'} of them`)
  await untilAllRead(home)
  await wait(RUN_MS)
  home.stop()

  const saw = whatItSaw(home)
  check(
    saw.backwardSteps === 0n,
    `${saw.backwardSteps} steps back in ${saw.reads} readings of ${VCPUS} vCPUs`,
  )
  check(saw.least > 0n, `every vCPU has read, the least ${saw.least} times`)
  check(advanced >= 0n && outcome.advancedTicks >= 0n, 'its time never went back')
  if (skew === 0n) {
    const rounding = BigInt(there['roundingTicks'] as string)
    check(
      magnitude(rounding) <= TIMEBASE_OFFSET_STEP / 2n,
      `on the second host it was within half a step of its time: ${ms(rounding)}`,
    )
    // The clocks' difference counts twice, once there and once back, with opposite signs.
    const allowed = TIMEBASE_OFFSET_STEP / 2n + ticks(2n * (magnitude(clocks.ns) + clocks.error))
    check(
      magnitude(error) <= allowed,
      `its elapsed time is right to ${ms(error)}; half a step and the clocks allow ${ms(allowed)}`,
    )
  }
}

await wire.meet()
const theirs = BigInt((await wire.ask({ do: 'time' }))['timebase'] as string)
say(
  `Two hosts, started apart: the first one's timebase is at ${host.timebase()}, the second one's at ${theirs}`,
)
const trips = process.argv.includes('--once') ? settings.slice(0, 1) : settings
for (const setting of trips) await roundTrip(setting)
if (process.argv.includes('--record')) {
  tell('result', JSON.stringify(await record(host, wire, VCPUS)))
}
await wire.ask({ do: 'end' })
conclude('The guest never saw its clock go back.')
