import { Readable } from 'node:stream'
import { expect, vi } from 'vitest'
import { run } from '../../lib/cli/program.ts'
import * as stream from '../vmstate/stream/build.ts'

/** The result of running `decode`. */
export interface Outcome {
  readonly status: number
  readonly stdout: string
  readonly stderr: string
}

/** Runs the command line in this process, with these bytes on its standard input. */
export async function decode(input: Uint8Array | string, ...options: string[]): Promise<Outcome> {
  const output = { stdout: '', stderr: '' }
  vi.spyOn(process, 'stdin', 'get').mockReturnValue(Readable.from([Buffer.from(input)]) as never)
  vi.spyOn(console, 'log').mockImplementation((text: string) => (output.stdout += `${text}\n`))
  vi.spyOn(console, 'error').mockImplementation((text: string) => (output.stderr += `${text}\n`))
  vi.spyOn(process.stderr, 'write').mockImplementation(
    (text) => (output.stderr += text as string) !== '',
  )
  try {
    return { status: await run(['decode', '-', ...options]), ...output }
  } finally {
    vi.restoreAllMocks()
  }
}

/** Messages of JavaScript's own errors, which would mean that a check is missing. */
const internal =
  /call stack|string length|array length|heap|undefined|not a function|not iterable|Cannot (read|set|mix|convert)/i

/** Text on standard output and status 0, or one line on standard error and status 1. */
export function expectOrderly({ status, stdout, stderr }: Outcome): void {
  if (status === 0) {
    expect(stderr).toBe('')
    expect(stdout).not.toBe('')
    return
  }
  expect(status).toBe(1)
  expect(stdout).toBe('')
  expect(stderr).toMatch(/^kvm-ppc-onereg: [^\n]+\n$/)
  expect(stderr).not.toMatch(internal)
  expect(stderr.length).toBeLessThan(1_000)
}

/** An ordinary stream with one more device, with the given description. */
export function streamWith(
  fields: readonly object[],
  bytes: Uint8Array,
  rest: object = {},
): Buffer {
  const name = 'device'
  const described = { name, instance_id: 0, vmsd_name: name, version: 1, fields, ...rest }
  return stream.streamWith(stream.full(77, name, 1, Buffer.from(bytes)), described)
}
