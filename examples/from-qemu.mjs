// Takes a guest over from QEMU: its timebase is read out of a migration stream and loaded onto new
// vCPUs. In QEMU's monitor, `migrate "exec:cat >guest.stream"` writes one.
//
//     node examples/from-qemu.mjs guest.stream

import { loadTimebase, openHost } from 'kvm-ppc-onereg'
import { qemuTimebaseToState, readQemuTimebase } from 'kvm-ppc-onereg/vmstate'

const usage = 'Usage: node examples/from-qemu.mjs FILE'
const [file, ...rest] = process.argv.slice(2)
if (file === undefined || rest.length > 0) {
  console.error(usage)
  process.exit(2)
}

const host = openHost()
try {
  // Reads and checks the whole stream, without holding the guest's memory.
  const timebase = await readQemuTimebase(file)
  console.log(`QEMU stopped the guest on ${dateOf(timebase.timeOfDayNs)},`)
  console.log(`when its timebase was ${timebase.guestTimebase}.`)

  // What the stream does not say, and whoever takes the guest over must know.
  const state = qemuTimebaseToState(timebase, {
    // QEMU moves guests only between hosts with the same one.
    timebaseFrequency: host.timebaseFrequency,
    // TB_OFFSET over there, for the record: a load does not use it.
    offset: 0n,
    // QEMU reads one clock after the other; 1 ms is a guess on the safe side.
    uncertaintyNs: 1_000_000n,
    // QEMU saves no decrementers: without a value each fires at once, which a guest can bear.
    vcpus: [],
    // If it stood still before it was migrated, QEMU's value may be up to 2^24 ticks behind what the
    // guest has read already. Said to be so, it never goes back, and is 33 ms ahead at most.
    guestWasStopped: true,
  })

  // QEMU's own rule: the guest goes on where it stopped, however old the file is.
  const vm = host.createVm()
  const vcpus = [vm.createVcpu(0), vm.createVcpu(1)]
  const outcome = loadTimebase(vcpus, state, { downtime: 'freeze' })

  console.log(`It goes on here at ${outcome.guestTimebase}, with TB_OFFSET ${outcome.offset}.`)
} catch (error) {
  console.error(`${error.message}\n${usage}`)
  process.exitCode = 1
} finally {
  // Closes the VM and its vCPUs too.
  host.close()
}

function dateOf(ns) {
  return new Date(Number(ns / 1_000_000n)).toISOString()
}
