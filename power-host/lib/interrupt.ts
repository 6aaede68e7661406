import { constants } from 'node:os'
import { Failure } from './failure.ts'

const controller = new AbortController()

/** Aborted when a signal asks this program to end. All waiting code then fails, and cleans up. */
export const interrupted: AbortSignal = controller.signal

export function watchForInterrupts(): void {
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    // Not `once`: a terminal, npm and tsx may each pass on the same Ctrl-C, and the second one
    // would end this process before it has cleaned up.
    process.on(name, () => {
      controller.abort(new Failure(`ended by ${name}`, 128 + constants.signals[name]))
    })
  }
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    const why = error.code === 'EPIPE' ? 'the reader of the output is gone' : error.message
    controller.abort(new Failure(why, 128 + constants.signals.SIGPIPE))
  })
}
