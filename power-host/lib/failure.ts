/** The exit statuses of this program itself, besides those of the command. */
export const exitStatus = {
  usage: 2,
  /** The time was up; the same status as that of timeout(1). */
  timedOut: 124,
  /** The host could not be prepared, did not boot, or died. */
  hostFailed: 125,
} as const

/** An error whose message is meant for the person at the terminal, without a stack. */
export class Failure extends Error {
  override readonly name = 'Failure'
  readonly status: number

  constructor(message: string, status: number = exitStatus.hostFailed) {
    super(message)
    this.status = status
  }
}

/** The last lines of a text, indented to set them apart from the message around them. */
export function lastLines(text: string, count: number): string {
  const lines = text.split(/\r*\n/).filter((line) => line.trim() !== '')
  return lines
    .slice(-count)
    .map((line) => `    ${line}`)
    .join('\n')
}
