import { openHost } from '../../lib/kvm/host.ts'
import { loadAddon } from '../../lib/kernel/addon.ts'
import { errorOf } from './error-of.ts'

// Opens a device without root's privileges, and prints the error.
const NOBODY = 65534
loadAddon()
if (process.getuid?.() === 0) {
  process.setgroups?.([])
  process.setgid?.(NOBODY)
  process.setuid?.(NOBODY)
}
const device = process.argv[2] ?? ''
const error = errorOf(() => openHost({ backend: 'kvm', device }))
const { code, message, cause } = error as Error & { code?: unknown }
console.log(
  JSON.stringify({ code, message, cause: (cause as { code?: unknown } | undefined)?.code }),
)
