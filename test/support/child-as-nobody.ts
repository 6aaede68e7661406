import { Host } from '../../lib/kvm/host.ts'
import { NativeKernel } from '../../lib/kernel/native.ts'
import { errorOf } from './error-of.ts'

// Opens a device without root's privileges, and prints the error.
const NOBODY = 65534
// Loaded first: the project may be in a folder that others cannot read.
const kernel = new NativeKernel()
if (process.getuid?.() === 0) {
  process.setgroups?.([])
  process.setgid?.(NOBODY)
  process.setuid?.(NOBODY)
}
const device = process.argv[2] ?? ''
const error = errorOf(() => new Host(kernel, device))
const { code, message, cause } = error as Error & { code?: unknown }
console.log(
  JSON.stringify({ code, message, cause: (cause as { code?: unknown } | undefined)?.code }),
)
