import { once } from 'node:events'
import { parentPort, workerData } from 'node:worker_threads'
import { callEndlessly } from './endless-calls.ts'
import type { CallKind } from './endless-calls.ts'

// Makes calls after a message asks for it, until it is terminated.
const { kinds } = workerData as { kinds: CallKind[] }
if (parentPort === null) throw new Error('It is for a worker')
parentPort.postMessage('loaded')
await once(parentPort, 'message')
await callEndlessly(kinds, () => {
  parentPort?.postMessage('begun')
})
