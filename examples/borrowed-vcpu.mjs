// Uses vCPUs that another addon made, such as your monitor's, by their file descriptors. On a POWER
// host with KVM you can name a module that exports `vcpuFds()` and `close()`; without one, the function
// `standIn` below makes two vCPUs.
//
//     node examples/borrowed-vcpu.mjs
//     node examples/borrowed-vcpu.mjs ./my-monitor.mjs

import path from 'node:path'
import { pathToFileURL } from 'node:url'
import { openHost, saveTimebase } from 'kvm-ppc-onereg'

const usage = 'Usage: node examples/borrowed-vcpu.mjs [MODULE]'
const [monitorFile, ...rest] = process.argv.slice(2)
if (rest.length > 0) {
  console.error(usage)
  process.exit(2)
}

let host
let monitor
try {
  if (monitorFile === undefined) {
    host = openHost()
    monitor = standIn(host)
  } else {
    monitor = await load(monitorFile)
    // The model of the kernel knows nothing of real file descriptors.
    host = openHost({ backend: 'kvm' })
  }
  const fds = monitor.vcpuFds()

  // The library checks that the fd is that vCPU's. It stays yours: the library never closes it, and you
  // keep it open for as long as the vCPU is used. Only the process that made the VM can use it.
  const vcpus = fds.map((fd, id) => host.vcpu(fd, id))

  const { guestTimebase, offset } = saveTimebase(vcpus)
  console.log(`vCPUs ${vcpus.map(({ id, fd }) => `${id} (fd ${fd})`).join(', ')} were borrowed.`)
  console.log(`Their guest's timebase is ${guestTimebase}, with TB_OFFSET ${offset}.`)

  // This only forgets the vCPUs: the fds stay open, and the guest exists as before.
  for (const vcpu of vcpus) vcpu.close()
  const again = host.vcpu(fds[0], 0)
  console.log(
    `After close(), fd ${fds[0]} is still vCPU 0's: ${again.get('TB_OFFSET') === offset}.`,
  )
} catch (error) {
  console.error(`${error.message}\n${usage}`)
  process.exitCode = 1
} finally {
  host?.close()
  monitor?.close()
}

function load(file) {
  return import(pathToFileURL(path.resolve(file)).href)
}

// Makes the system calls of a monitor directly, so that the host does not know these descriptors. On the
// model they are not files of the process.
function standIn({ kernel }) {
  const kvm = kernel.open('/dev/kvm')
  const vm = kernel.createVm(kvm, 0)
  const fds = [kernel.createVcpu(vm, 0), kernel.createVcpu(vm, 1)]
  return {
    vcpuFds: () => fds,
    close: () => {
      for (const fd of [...fds, vm, kvm]) kernel.close(fd)
    },
  }
}
