// Saves a guest's timebase to a file, and loads it later, on this host or on another.
//
//     node examples/save-and-load.mjs save guest.json
//     node examples/save-and-load.mjs load guest.json

import { readFile, rename, writeFile } from 'node:fs/promises'
import {
  loadTimebase,
  openHost,
  parseTimebase,
  saveTimebase,
  serializeTimebase,
} from 'kvm-ppc-onereg'

const usage = 'Usage: node examples/save-and-load.mjs save|load FILE'
const [command, file, ...rest] = process.argv.slice(2)
if (!['save', 'load'].includes(command) || file === undefined || rest.length > 0) {
  console.error(usage)
  process.exit(2)
}

const host = openHost()
try {
  await (command === 'save' ? save() : load())
} catch (error) {
  console.error(`${error.message}\n${usage}`)
  process.exitCode = 1
} finally {
  // Closes its VMs and their vCPUs too.
  host.close()
}

async function save() {
  // Two new vCPUs in place of those of your guest, which has run for an hour and was just stopped.
  const vm = host.createVm()
  const vcpus = [vm.createVcpu(0), vm.createVcpu(1)]
  const anHour = 3600n * host.timebaseFrequency
  const offset = BigInt.asUintN(64, anHour - host.timebase())
  for (const vcpu of vcpus) vcpu.set('TB_OFFSET', offset)

  const state = saveTimebase(vcpus)

  // Written beside it first, so that there is never half a file under this name.
  await writeFile(`${file}.part`, serializeTimebase(state))
  await rename(`${file}.part`, file)
  console.log(`Saved to ${file}: the guest's timebase is ${inSeconds(state.guestTimebase)}.`)
}

async function load() {
  const state = parseTimebase(await readFile(file, 'utf8'))

  // The new guest has vCPUs with the same ids, and none of them runs yet.
  const vm = host.createVm()
  const vcpus = state.vcpus.map(({ id }) => vm.createVcpu(id))

  // By default the time in the file counts as time that passed. A guest that slept for days may take
  // that badly, with soft lockups and bursts of timers: { downtime: 'freeze' } lets it go on where it was.
  const outcome = loadTimebase(vcpus, state)

  console.log(`Loaded from ${file} onto ${vcpus.length} vCPUs:`)
  console.log(`the guest was away for ${(Number(outcome.downtimeNs) / 1e9).toFixed(3)} s,`)
  console.log(`and its timebase goes on at ${inSeconds(outcome.guestTimebase)}.`)
}

function inSeconds(ticks) {
  return `${(Number(ticks) / Number(host.timebaseFrequency)).toFixed(3)} s`
}
