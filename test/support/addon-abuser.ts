import { parentPort } from 'node:worker_threads'
import { loadAddon } from '../../lib/kernel/addon.ts'
import { makeAll } from '../robustness/abuse/call.ts'
import { hostile, table } from '../robustness/abuse/pools.ts'
import { verdict } from '../robustness/abuse/rules.ts'

// Calls the addon with wrong arguments: in a worker with all of them, in a process of its own only with those
// that must be refused, or those that must be accepted. Prints the number of calls, and in a worker also the
// number of refused ones.
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
