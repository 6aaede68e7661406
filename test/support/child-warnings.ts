import { openHost } from '../../lib/kvm/host.ts'

// Opens hosts, and prints the warnings that this process was given. Its arguments are backends; ''
// leaves the choice to the library.
const warnings: { name: string; message: string; code: unknown }[] = []
process.on('warning', (warning) => {
  const { name, message } = warning
  warnings.push({ name, message, code: 'code' in warning ? warning.code : undefined })
})
const backends = process.argv.slice(2).map((word) => {
  const host = word === '' ? openHost() : openHost({ backend: word as 'auto' })
  host.close()
  return host.backend
})
// Node emits warnings on the next tick.
setImmediate(() => {
  console.log(JSON.stringify({ backends, warnings }))
})
