// Moves guests between two processes, or two hosts, with their registers and their timebase:
//
//     source                                      destination
//     saves the stopped guest   -- { guest } -->  makes its vCPUs and loads them
//                              <-- { loaded } --  or { refused }, and it runs on at the source
//     gives the guest up        ----- { run } ->  starts it
//                              <- { running } --
//
// Until the source has sent `run`, the destination does not start the guest, so the source can take it back,
// whatever else fails. Afterwards it never runs the guest again.

import type { Socket } from 'node:net'
import type { Host } from 'kvm-ppc-onereg'
import { Guest } from './guest.ts'
import { Wire } from './wire.ts'

export interface Limits {
  /** How long to wait for a message of the other side. */
  readonly silenceMs?: number
}

/** The guest runs on the destination, or nowhere: it must not run here. Only an administrator can tell. */
export class UnknownWhereItRuns extends Error {
  override readonly name = 'UnknownWhereItRuns'
}

/**
 * Moves a guest to the host on the other side of a connection. If it fails, the guest runs on here, unless the
 * error is an {@link UnknownWhereItRuns}.
 */
export async function send(guest: Guest, socket: Socket, limits: Limits = {}): Promise<void> {
  const wire = new Wire(socket, limits.silenceMs ?? 10_000)
  let givenUp = false
  guest.pause()
  try {
    wire.send({ guest: guest.save() })
    const answer = await wire.receive()
    if (answer['loaded'] !== true) throw new Error(`The destination: ${String(answer['refused'])}`)
    givenUp = true
    wire.send({ run: true })
    const { running } = await wire.receive()
    if (running !== true) throw new Error('It does not say that the guest runs')
  } catch (error) {
    if (givenUp) {
      const message =
        'The guest stays stopped: it was given to the destination, which did not confirm'
      throw new UnknownWhereItRuns(message, { cause: error })
    }
    guest.resume()
    throw error
  } finally {
    wire.close()
  }
  guest.close()
}

/**
 * Takes the guest that comes over a connection.
 *
 * @returns the guest, which runs here
 */
export async function receive(host: Host, socket: Socket, limits: Limits = {}): Promise<Guest> {
  const wire = new Wire(socket, limits.silenceMs ?? 10_000)
  let guest: Guest | undefined
  try {
    guest = Guest.load(host, String((await wire.receive())['guest']))
    wire.send({ loaded: true })
    const { run } = await wire.receive()
    if (run !== true) throw new Error('The source keeps the guest')
    guest.start()
    wire.send({ running: true })
    return guest
  } catch (error) {
    guest?.close()
    wire.send({ refused: error instanceof Error ? error.message : String(error) })
    throw error
  } finally {
    wire.close()
  }
}
