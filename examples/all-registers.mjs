// Prints every register of a vCPU: its name, width, value and meaning.
//
//     node examples/all-registers.mjs

import { openHost, registers } from 'kvm-ppc-onereg'

const host = openHost()
try {
  const vcpu = host.createVm().createVcpu(0)

  // This reads every register of the table, and leaves out those that this kernel or processor lacks.
  const snapshot = vcpu.snapshot()

  for (const [name, value] of Object.entries(snapshot)) {
    const { width, meaning } = registers[name]
    console.log(
      `${name.padEnd(18)} ${String(width).padStart(3)}  ${inHex(value, width)}  ${meaning}`,
    )
  }
  const all = Object.keys(registers).length
  const had = Object.keys(snapshot).length
  console.log(`This vCPU has ${had} of the ${all} registers that Linux defines for POWER.`)
} finally {
  // Closes the VM and its vCPU too.
  host.close()
}

// A value is a number, a bigint, or 16 bytes in the kernel's memory order, by the register's width.
function inHex(value, width) {
  const digits =
    value instanceof Uint8Array ? Buffer.from(value).toString('hex') : value.toString(16)
  return digits.padStart(width / 4, '0').padEnd(32)
}
