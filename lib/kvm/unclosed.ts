import type { Descriptor } from './descriptor.ts'

const NAMED_AT_MOST = 4

/** Those whose owners were found to be garbage in this turn: a guest goes with all its vCPUs. */
let unclosed: Descriptor[] = []

const registry = new FinalizationRegistry<Descriptor>((descriptor) => {
  if (unclosed.push(descriptor) === 1) process.nextTick(closeAll)
})

/** Closes a descriptor, with a warning, if its owner is garbage-collected before it is closed. */
export function watch(owner: object, descriptor: Descriptor): void {
  registry.register(owner, descriptor, descriptor)
}

/** It is closed. */
export function forget(descriptor: Descriptor): void {
  registry.unregister(descriptor)
}

function closeAll(): void {
  // In the order in which they were opened, mostly.
  const found = unclosed.sort((one, other) => (one.fd ?? 0) - (other.fd ?? 0))
  unclosed = []
  const names = found.flatMap(({ name, fd }) => (fd === undefined ? [] : `${name} (fd ${fd})`))
  for (const descriptor of found) descriptor.closeIfStillOurs()
  if (names.length === 0) return
  const more = names.length - NAMED_AT_MOST
  const list = [...names.slice(0, NAMED_AT_MOST), ...(more > 0 ? [`${more} more`] : [])].join(', ')
  process.emitWarning(
    `Garbage-collected before it was closed: ${list}. ` +
      "It is closed now, unless its number may be another file's. " +
      'Nobody knows when that happens: call close(), or declare it with "using"',
    { type: 'KvmPpcWarning', code: 'KVM_PPC_UNCLOSED' },
  )
}
