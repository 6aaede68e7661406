import { once } from 'node:events'
import { setTimeout as wait } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import { loadAddon } from '../../lib/kernel/addon.ts'

// Terminates workers one after the other, while each runs `body`.
const [body = '', rounds = ''] = process.argv.slice(2)
const addon = loadAddon()
// `bindings` adds where it found it.
const file: unknown = Reflect.get(addon, 'path')
const fd = addon.open('/dev/null')
const code = `
  const { parentPort, workerData: { file, fd } } = require('node:worker_threads')
  const addon = require(file)
  const memory = new Uint8Array(new SharedArrayBuffer(72))
  const words = new BigUint64Array(new SharedArrayBuffer(32))
  parentPort.postMessage('running')
  ${body}`

const statuses = new Set<unknown>()
for (let round = 0; round < Number(rounds); round++) {
  const worker = new Worker(code, { eval: true, workerData: { file, fd } })
  await once(worker, 'message')
  await wait(Math.random() * 5)
  statuses.add(await worker.terminate())
}
console.log(JSON.stringify([...statuses]))
