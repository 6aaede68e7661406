// Plugs a vCPU into a running guest. It must have the guest's timebase from its first instruction on.
//
//     node examples/hot-plug.mjs

import { inheritTimebase, openHost } from 'kvm-ppc-onereg'

const host = openHost()
try {
  // In place of your guest: one that has a timebase an hour ahead of the host's.
  const vm = host.createVm()
  const running = vm.createVcpu(0)
  running.set('TB_OFFSET', 3600n * host.timebaseFrequency)

  const plugged = vm.createVcpu(1)
  console.log(`The running vCPU has TB_OFFSET ${running.get('TB_OFFSET')},`)
  console.log(`the one that is plugged in ${plugged.get('TB_OFFSET')}: for it an hour is missing.`)

  // The new vCPU must not run yet. Reading the other one blocks Node for as long as it runs, so a
  // monitor takes it out of KVM_RUN for this call.
  const { offset, guestTimebase } = inheritTimebase(running, plugged)

  console.log(`Now both have ${offset}: ${plugged.get('TB_OFFSET') === running.get('TB_OFFSET')}.`)
  console.log(
    `The guest's timebase is ${guestTimebase}, at which the new one's decrementer fires too:`,
  )
  console.log(`DEC_EXPIRY is ${plugged.get('DEC_EXPIRY')}.`)
} finally {
  // Closes the VM and its vCPUs too.
  host.close()
}
