import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { Host, loadTimebase, NativeKernel, TIMEBASE_OFFSET_STEP } from '../../../lib/index.ts'
import type { AlignOptions, PlanOptions } from '../../../lib/index.ts'
import { qemuTimebaseToState, readQemuTimebase } from '../../../lib/vmstate/index.ts'
import type { QemuTimebase } from '../../../lib/vmstate/index.ts'
import { TestGuest } from '../guest/index.ts'
import { check, conclude, ms, say } from '../steps.ts'
import { KvmGuest } from './kvm-guest.ts'

/**
 * On a host with KVM: QEMU runs a guest and saves it, and the timebase in the stream is loaded onto new
 * vCPUs. Says in words what happens, and ends with 1 if the guest's time is not what it must be.
 */

const STEP = TIMEBASE_OFFSET_STEP
const RUN_MS = 300

/** How long before it was stopped the guest may have printed last: 100 ms, since others run as well. */
const OLDEST = 51_200_000n

/** By how much two samples of the same clocks can differ: 1 ms. */
const CLOCKS = 512_000n

/** A guest that QEMU has saved. All is in ticks. */
interface Saved {
  readonly stream: string
  /** The timebase that the guest printed last. */
  readonly lastPrinted: bigint
  /** The TB_OFFSET that QEMU asked for, and what the kernel made of it. */
  readonly asked: bigint
  readonly held: bigint
  readonly wasStopped: boolean
  /** The host's timebase before and after QEMU took the guest's. */
  readonly before: bigint
  readonly after: bigint
}

const host = new Host(new NativeKernel())

const u64 = (value: bigint): bigint => BigInt.asUintN(64, value)
const i64 = (value: bigint): bigint => BigInt.asIntN(64, value)

const magnitude = (value: bigint): bigint => (value < 0n ? -value : value)

function roundedUp(offset: bigint): bigint {
  return u64(offset + (-offset & (STEP - 1n)))
}

/** Lets QEMU save the guest while it runs: QEMU stops it when there is next to nothing left to send. */
async function saveRunning(guest: KvmGuest, stream: string): Promise<Saved> {
  await wait(RUN_MS)
  const before = host.timebase()
  await guest.migrateInto(stream)
  return { ...whatIsKnown(guest), stream, wasStopped: false, before, after: host.timebase() }
}

/** Stops and continues the guest, stops it for good, and lets QEMU save it some time later. */
async function saveStopped(guest: KvmGuest, stream: string): Promise<Saved> {
  for (let stops = 0; stops < 3; stops++) {
    await wait(RUN_MS)
    await guest.stop()
    await wait(RUN_MS)
    await guest.continue()
  }
  await wait(RUN_MS)
  const before = host.timebase()
  await guest.stop()
  const after = host.timebase()
  const steps = guest.printed().backwardSteps.map(ms)
  say(
    `   QEMU stopped and continued it 3 times; steps back that it saw: ${steps.join(', ') || 'none'}`,
  )
  await wait(RUN_MS)
  await guest.migrateInto(stream)
  return { ...whatIsKnown(guest), stream, wasStopped: true, before, after }
}

function whatIsKnown(guest: KvmGuest): Pick<Saved, 'lastPrinted' | 'asked' | 'held'> {
  const asked = guest.askedOffset()
  return { lastPrinted: guest.printed().last, asked, held: roundedUp(asked) }
}

/**
 * The offset of which QEMU made the guest's timebase. It reads all of a vCPU's registers, and with them
 * the offset, before it writes them; but after it has taken the timebase of a guest that is stopped.
 */
function reckonedWith({ wasStopped, asked, held }: Saved): bigint {
  return wasStopped ? asked : held
}

/** How much the stream's timebase is behind the guest's for that. */
function shortOf(saved: Saved): bigint {
  return i64(saved.held - reckonedWith(saved))
}

/** Compares the timebase in the stream with the one that the guest printed. */
function judge({ guestTimebase }: QemuTimebase, saved: Saved): void {
  const { lastPrinted, asked, held, before, after, wasStopped } = saved
  say(`   It asked for TB_OFFSET ${asked}; the kernel rounded that up by ${ms(i64(held - asked))}`)
  say(`3. The stream says guest_timebase ${guestTimebase}`)
  const beyond = i64(guestTimebase - lastPrinted)
  if (beyond < 0n) say(`   The guest had already printed a time that is ${ms(-beyond)} later`)
  const hostTimebase = u64(guestTimebase - reckonedWith(saved))
  check(
    before <= hostTimebase && hostTimebase <= after,
    `that is the host's timebase when it was ${wasStopped ? 'stopped and the offset that QEMU asked for' : 'saved and its TB_OFFSET'}`,
  )
  const age = beyond + shortOf(saved)
  check(
    age >= 0n && age <= after - before + OLDEST,
    `${wasStopped ? "with the kernel's rounding " : ''}it is ${ms(age)} after what the guest printed last`,
  )
}

/**
 * How far the stream's wall clock is behind its timebase, in ticks, by the host's clocks. QEMU reads one
 * after the other, and on a busy host others run in between.
 */
function clocksApart({ guestTimebase, timeOfDayNs }: QemuTimebase, saved: Saved): bigint {
  const now = host.sample()
  const passedNs = now.timeOfDayNs - timeOfDayNs
  const passedTicks = (passedNs * host.timebaseFrequency) / 1_000_000_000n
  return passedTicks - i64(now.timebase - (guestTimebase - reckonedWith(saved)))
}

/** Loads the stream's timebase onto a new vCPU, and lets that one look at it. */
async function load(timebase: QemuTimebase, saved: Saved, options: PlanOptions | AlignOptions) {
  const state = qemuTimebaseToState(timebase, {
    timebaseFrequency: host.timebaseFrequency,
    offset: saved.held,
    uncertaintyNs: 1_000n,
    vcpus: [{ id: 0 }],
    guestWasStopped: saved.wasStopped,
  })
  using guest = new TestGuest(host, 'watch', 1)
  guest.noteNextStep(0n)
  const outcome = await loadTimebase(guest.vcpus, state, options as AlignOptions)
  guest.start()
  while (guest.watched(0).first === undefined) await wait(1)
  guest.stop()
  const { first = 0n } = guest.watched(0)
  const now = u64(host.timebase() + (guest.vcpus[0]?.get('TB_OFFSET') ?? 0n))
  say(`   TB_OFFSET ${outcome.offset}, with which it goes on at ${outcome.guestTimebase}`)
  const step = i64(outcome.guestTimebase - saved.lastPrinted)
  check(step >= 0n, `that is ${ms(step)} after what the guest printed last under QEMU`)
  check(
    outcome.guestTimebase <= first && first <= now,
    `the vCPU's own first reading, ${first}, is from there on and not beyond host.timebase() + TB_OFFSET`,
  )
  return outcome
}

async function saveAndLoad(title: string, save: typeof saveRunning): Promise<void> {
  const folder = mkdtempSync(path.join(tmpdir(), 'qemu-'))
  const guest = await KvmGuest.start(folder)
  say(`\n${title}\n1. QEMU ${await guest.version()} runs it by KVM, and it prints its timebase`)
  const saved = await save(guest, path.join(folder, 'stream')).finally(() => {
    guest.kill()
  })
  say(`2. QEMU has saved it. It printed ${guest.printed().count} times, last ${saved.lastPrinted}`)
  const timebase = await readQemuTimebase(saved.stream)
  judge(timebase, saved)

  const added = saved.wasStopped ? STEP : 0n
  const with2to24 = saved.wasStopped ? ', with 2^24 ticks more for the rounding' : ''
  say(`4. Loaded so that it goes on where it stopped${with2to24}`)
  const frozen = await load(timebase, saved, { downtime: 'freeze', align: true })
  check(
    frozen.guestTimebase === u64(timebase.guestTimebase + added),
    `it goes on at what the stream says${with2to24}, to the tick`,
  )

  say(`5. Loaded so that the time since then counts${with2to24}`)
  const { offset } = await load(timebase, saved, {})
  const apart = clocksApart(timebase, saved)
  const order = apart < 0n ? 'after' : 'before'
  say(`   QEMU read the wall clock ${ms(magnitude(apart))} ${order} the timebase`)
  const wanted = reckonedWith(saved) + added + apart
  const rounding = i64(offset - wanted)
  check(
    magnitude(rounding) <= STEP / 2n + CLOCKS,
    `it is rounded by ${ms(rounding)}, no more than half a step`,
  )
  const ahead = i64(offset - saved.held)
  check(
    magnitude(ahead - apart) <= STEP / 2n + CLOCKS + added,
    `it is ${ms(ahead)} ahead of where it would be had it stayed`,
  )
  rmSync(folder, { recursive: true })
}

await saveAndLoad('A guest that QEMU saves while it runs', saveRunning)
await saveAndLoad('A guest that was stopped before QEMU saves it', saveStopped)
conclude('What QEMU saved was loaded, and the guest never saw its clock go back.')
