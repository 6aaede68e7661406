import { endianness } from 'node:os'
import { errnoName } from '../errno.ts'
import type { Kernel } from './kernel.ts'
import { ObservedKernel } from './observed.ts'
import type { KernelCall } from './observed.ts'

const LITTLE_ENDIAN = endianness() === 'LE'

/**
 * Returns the same kernel; if the environment variable KVM_PPC_TRACE is set, and not to 0, one that also
 * prints each call on stderr.
 */
export function traced(kernel: Kernel): Kernel {
  const wish = process.env['KVM_PPC_TRACE'] ?? ''
  if (wish === '' || wish === '0') return kernel
  survivePipes()
  return new ObservedKernel(kernel, print)
}

let isGuarded = false

/**
 * Ignores errors of stderr. Without this, the process would end with an EPIPE as soon as the `head` or `less`
 * that reads its trace ends.
 */
function survivePipes(): void {
  if (!isGuarded) process.stderr.on('error', () => undefined)
  isGuarded = true
}

/**
 * Prints a call like strace: seconds since the process started, the call, its result, and how long it took. A
 * batch gets a line for each entry.
 */
function print(call: KernelCall): void {
  const { result, startedMs, tookMs, of } = call
  const answer = result < 0 ? `-1 ${errnoName(result)}` : `${result}`
  const took = `${(1000 * tookMs).toFixed(1)} µs${of > 1 ? ` for ${of}` : ''}`
  process.stderr.write(`${(startedMs / 1000).toFixed(6)} ${inWords(call)} = ${answer} <${took}>\n`)
}

function inWords({
  operation,
  path,
  fd = -1,
  argument = 0,
  id,
  register,
  value,
}: KernelCall): string {
  if (operation === 'open') return `open(${JSON.stringify(path)})`
  if (operation === 'close') return `close(${fd})`
  if (id === undefined) return `ioctl(${fd}, ${operation}, ${argument})`
  const name = register === undefined ? '' : `${register} `
  const shown = value === undefined ? '' : `, ${hexadecimal(value)}`
  return `ioctl(${fd}, ${operation}, ${name}0x${id.toString(16)}${shown})`
}

/** A value of 32 or 64 bits as a number; one of 128 bits as its bytes in memory order. */
function hexadecimal(value: Uint8Array): string {
  const bytes = Buffer.from(value)
  if (bytes.length === 4 || bytes.length === 8) {
    if (LITTLE_ENDIAN) bytes.reverse()
    return `0x${bytes.toString('hex')}`
  }
  return bytes.toString('hex')
}
