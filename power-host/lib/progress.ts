// Progress goes to stderr, so that stdout holds only what the command prints.

let lineIsOpen = false

/** Prints what is being done, and afterwards how long it took. */
export async function stage<T>(what: string, work: () => Promise<T>): Promise<T> {
  const done = beginStage(what)
  const result = await work()
  done()
  return result
}

/** A stage that ends when the returned function is called. */
export function beginStage(what: string): () => void {
  endLine()
  const started = performance.now()
  process.stderr.write(`power: ${what} ...`)
  lineIsOpen = true
  return () => {
    const seconds = ((performance.now() - started) / 1000).toFixed(1)
    process.stderr.write(lineIsOpen ? ` ${seconds} s\n` : `power: ${what}: ${seconds} s\n`)
    lineIsOpen = false
  }
}

export function note(text: string): void {
  endLine()
  process.stderr.write(`power: ${text}\n`)
}

export function endLine(): void {
  if (lineIsOpen) process.stderr.write('\n')
  lineIsOpen = false
}

export function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB`
}
