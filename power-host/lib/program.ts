import { CommanderError, type Command } from 'commander'
import { exitStatus, Failure } from './failure.ts'
import { watchForInterrupts } from './interrupt.ts'
import { endLine } from './progress.ts'

/** Runs a program with these arguments, or those of this process, and sets its exit status. */
export async function runProgram(program: Command, args?: readonly string[]): Promise<void> {
  watchForInterrupts()
  try {
    await program.exitOverride().parseAsync(args, args && { from: 'user' })
  } catch (error) {
    endLine()
    if (error instanceof CommanderError) {
      // Commander has printed the message already.
      process.exitCode = error.exitCode === 0 ? 0 : exitStatus.usage
    } else {
      const { message, status } = error instanceof Failure ? error : new Failure(explain(error))
      process.stderr.write(`power: ${message}\n`)
      process.exitCode = status
    }
  }
}

/** The message of an error. Errors of the system, such as a full disk, explain themselves; a bug needs its stack. */
function explain(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return ('syscall' in error ? error.message : error.stack) ?? error.message
}
