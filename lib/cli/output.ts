import { fstatSync, writeFileSync } from 'node:fs'

/** How standard output fails, and how to end then. */

const STDOUT = 1

type WriteCallback = (error?: Error | null) => void

/**
 * Ends the program if its output cannot be written: quietly if `| head` stops reading, since then the
 * command has not failed, and otherwise with one line on standard error and status 1.
 */
export function guardOutput(): void {
  if (isFile(STDOUT)) writeWhole()
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit()
    console.error(`kvm-ppc-onereg: the output cannot be written: ${error.message}`)
    process.exit(1)
  })
  // There is nowhere left to report it; the exit status still does.
  process.stderr.on('error', () => undefined)
}

function isFile(descriptor: number): boolean {
  try {
    return fstatSync(descriptor).isFile()
  } catch {
    return false
  }
}

/**
 * Makes standard output write all bytes or fail. Node's own stream for a file ignores how many bytes a
 * call of write(2) took, so a disk that becomes full in the middle would go unnoticed.
 */
function writeWhole(): void {
  process.stdout._write = (chunk: Buffer, _encoding, callback: WriteCallback) => {
    let failure: Error | undefined
    try {
      writeFileSync(STDOUT, chunk)
    } catch (error) {
      failure = error as Error
    }
    callback(failure)
  }
}
