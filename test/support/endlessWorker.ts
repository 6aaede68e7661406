import { parentPort, workerData } from 'node:worker_threads'
import { endlessCalls } from './endlessCalls.ts'
import type { EndlessKind } from './endlessCalls.ts'

// Makes calls of one kind until it is terminated.
const { kind } = workerData as { kind: EndlessKind }
await endlessCalls[kind](() => {
  parentPort?.postMessage('begun')
})
