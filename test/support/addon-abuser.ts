import { parentPort } from 'node:worker_threads'
import { loadAddon } from '../../lib/kernel/addon.ts'
import { makeAll } from '../robustness/abuse/call.ts'
import { hostile, table } from '../robustness/abuse/pools.ts'
import { verdict } from '../robustness/abuse/rules.ts'

// Abuses the addon, in a worker, or in a process of its own; there with those calls only that are to
// be refused, or to be taken. Tells how many were made, and in a worker how many were refused.
const addon = loadAddon()
const rows = table(hostile)
if (parentPort) {
  parentPort.postMessage(await makeAll(addon, rows))
} else {
  const taken = process.argv[2] === 'taken'
  const chosen = rows.filter(({ name, given }) => taken === (verdict(name, given()) === 'right'))
  await makeAll(addon, chosen)
  console.log(chosen.length)
}
