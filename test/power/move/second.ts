import {
  Host,
  loadOneRegState,
  NativeKernel,
  OneRegError,
  parseOneRegState,
  saveOneRegState,
  serializeOneRegState,
  serializeRegisters,
} from '../../../lib/index.ts'
import { TestGuest, timeOfDay } from '../guest/index.ts'
import type { AlgorithmName } from './algorithms.ts'
import { packGuest, unpackGuest } from './parcel.ts'
import type { Parcel } from './parcel.ts'
import { program } from './program.ts'
import { notHeld } from './survived.ts'
import { Visitor } from './stay.ts'
import type { Departure } from './stay.ts'
import { Wire } from './wire.ts'
import type { Message } from './wire.ts'

/** The host that the guest comes to and goes back from: it does what the first one asks for. */

const VCPUS = 4

const host = new Host(new NativeKernel())
const wire = new Wire('/dev/hvc1')
let guest: TestGuest | undefined
let visitor: Visitor | undefined

/** Makes the vCPUs that are to take the guest, and loads its registers and its timebase. */
function load({ state, parcel, maxDowntimeNs }: Message): Message {
  const fresh = new TestGuest(host, program, VCPUS)
  const saved = parseOneRegState(state as string)
  const limit = typeof maxDowntimeNs === 'string' ? { maxDowntimeNs: BigInt(maxDowntimeNs) } : {}
  unpackGuest(fresh, parcel as Parcel)
  fresh.noteNextStep(saved.timebase.guestTimebase)
  const before = registersOf(fresh)
  try {
    const loaded = loadOneRegState(fresh.vcpus, saved, { ...limit, verify: true })
    fresh.start()
    guest = fresh
    const { timebase } = loaded
    return {
      hostTimebase: (timebase.guestTimebase - timebase.offset).toString(),
      offset: BigInt.asIntN(64, timebase.offset).toString(),
      guestTimebase: timebase.guestTimebase.toString(),
      advancedTicks: timebase.advancedTicks.toString(),
      roundingTicks: timebase.roundingTicks.toString(),
      downtimeNs: timebase.downtimeNs.toString(),
      clockDifferenceNs: timebase.clockDifferenceNs.toString(),
      notHeld: notHeld(saved, loaded),
    }
  } catch (error) {
    if (!(error instanceof OneRegError)) throw error
    const unchanged = registersOf(fresh) === before
    fresh.close()
    return { refused: error.code, because: error.message, unchanged }
  }
}

function giveBack(): Message {
  if (guest === undefined) throw new Error('there is no guest to give back')
  guest.stop()
  const state = serializeOneRegState(saveOneRegState(guest.vcpus))
  const parcel = packGuest(guest)
  guest.close()
  guest = undefined
  return { state, parcel }
}

function registersOf(of: TestGuest): string {
  return of.vcpus.map((vcpu) => serializeRegisters(vcpu.snapshot())).join()
}

async function arrive(message: Message): Promise<Message> {
  visitor = new Visitor(host, 'second', message['algorithm'] as AlgorithmName, VCPUS)
  await visitor.arrive(message as unknown as Departure)
  return {}
}

function depart(): Message {
  if (visitor === undefined) throw new Error('there is no guest that could depart')
  return { ...visitor.depart() }
}

async function answer(message: Message): Promise<Message> {
  switch (message['do']) {
    case 'hello':
    case 'end':
      return {}
    case 'time':
      return { ns: timeOfDay.get().toString(), timebase: host.timebase().toString() }
    case 'step-clock':
      timeOfDay.step(BigInt(message['ns'] as string))
      return {}
    case 'load':
      return load(message)
    case 'give-back':
      return giveBack()
    case 'arrive':
      return arrive(message)
    case 'depart':
      return depart()
    default:
      throw new Error(`What is ${JSON.stringify(message)}?`)
  }
}

for (;;) {
  const message = await wire.receive()
  if (!('number' in message)) continue
  wire.send({ ...(await answer(message)), answerTo: message['number'] })
  if (message['do'] === 'end') break
}
// Listening to the wire would keep this process alive.
process.exit(0)
