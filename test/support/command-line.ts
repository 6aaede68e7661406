import { Readable } from 'node:stream'
import { vi } from 'vitest'
import { run } from '../../lib/cli/program.ts'

export interface Output {
  readonly status: number
  readonly stdout: string
  readonly stderr: string
}

/** Runs the command line in this process, with these bytes on its standard input. */
export async function commandLine(
  args: readonly string[],
  input: Uint8Array = Buffer.alloc(0),
): Promise<Output> {
  const output = { stdout: '', stderr: '' }
  const write = (name: keyof typeof output) => (text: unknown) =>
    (output[name] += text as string) !== ''
  vi.spyOn(process, 'stdin', 'get').mockReturnValue(Readable.from([input]) as never)
  vi.spyOn(console, 'log').mockImplementation((text: string) => (output.stdout += `${text}\n`))
  vi.spyOn(console, 'error').mockImplementation((text: string) => (output.stderr += `${text}\n`))
  vi.spyOn(process.stdout, 'write').mockImplementation(write('stdout'))
  vi.spyOn(process.stderr, 'write').mockImplementation(write('stderr'))
  try {
    return { status: await run(args), ...output }
  } finally {
    vi.restoreAllMocks()
  }
}
