import { parentPort, workerData } from 'node:worker_threads'
import { loadAddon } from '../../lib/kernel/addon.ts'

// Makes many calls at the same time as another worker, and reports their results.
const { rounds } = workerData as { rounds: number }
const addon = loadAddon()
const results = new Set<string>()
for (let round = 0; round < rounds; round++) {
  const fd = addon.open('/dev/null')
  const value = new Uint8Array(8).fill(0xa5)
  const words = new BigUint64Array(new SharedArrayBuffer(32))
  addon.bindCalls(words).sample()
  results.add(
    [
      fd >= 0,
      addon.getOneReg(fd, 0x103000000000009cn, value),
      value.every((byte) => byte === 0xa5),
      addon.close(fd),
      (words[0] ?? 0n) > 0n,
    ].join(' '),
  )
  if (round === 0) parentPort?.postMessage('running')
}
parentPort?.postMessage([...results])
