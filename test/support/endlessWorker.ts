import { once } from 'node:events'
import { parentPort, workerData } from 'node:worker_threads'
import { endlessCalls } from './endlessCalls.ts'
import type { EndlessKind } from './endlessCalls.ts'

// Makes calls of one kind, once it is told to, until it is terminated.
const { kind } = workerData as { kind: EndlessKind }
if (parentPort === null) throw new Error('It is for a worker')
parentPort.postMessage('loaded')
await once(parentPort, 'message')
await endlessCalls[kind](() => {
  parentPort?.postMessage('begun')
})
