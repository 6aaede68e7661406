// Moves a guest of `vcpus` vCPUs once, as a process does that saves or loads one guest and ends, and prints the
// time of each step in ns:
//
//     node bench/first.mjs VCPUS [rehearsed]        KVM_PPC_BACKEND=software on other machines than POWER

import {
  loadTimebase,
  openHost,
  parseTimebase,
  rehearse,
  saveTimebase,
  serializeTimebase,
} from 'kvm-ppc-onereg'

const [vcpus = '1', rehearsed] = process.argv.slice(2)
const count = Number(vcpus)
const host = openHost()
if (rehearsed !== undefined) await rehearse(host, { vcpus: count })
const vm = host.createVm()
const guest = Array.from({ length: count }, (_, id) => vm.createVcpu(id))

const times = {}

function timed(step, call) {
  const started = process.hrtime.bigint()
  const result = call()
  times[step] = Number(process.hrtime.bigint() - started)
  return result
}

// process.hrtime itself has a first call, too.
timed('nothing', () => undefined)
const saved = timed('save', () => saveTimebase(guest))
const text = timed('text', () => serializeTimebase(saved))
const state = timed('parse', () => parseTimebase(text))
timed('load', () => loadTimebase(guest, state))
delete times.nothing
console.log(JSON.stringify(times))
host.close()
