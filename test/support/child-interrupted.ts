import { setTimeout as wait } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import { Host } from '../../lib/kvm/host.ts'
import { NativeKernel } from '../../lib/kernel/native.ts'

// Makes VMs while signals arrive all the time. Prints how often a single KVM_CREATE_VM was interrupted,
// and how many VMs the library, which repeats the call, could not make.
const VMS = 50
process.on('SIGUSR2', () => undefined)
const storm = `
  const pause = new Int32Array(new SharedArrayBuffer(4))
  for (;;) {
    process.kill(process.pid, 'SIGUSR2')
    Atomics.wait(pause, 0, 0, 0.05)
  }`
const worker = new Worker(storm, { eval: true })
await wait(200)

const kernel = new NativeKernel()
const host = new Host(kernel)
const started = performance.now()
let interrupted = 0
while (interrupted < 5 && performance.now() - started < 20_000) {
  const fd = kernel.createVm(host.fd, 0)
  if (fd === -4) interrupted++
  else kernel.close(fd)
}
let failed = 0
for (let made = 0; made < VMS; made++) {
  try {
    host.createVm().close()
  } catch {
    failed++
  }
}
await worker.terminate()
console.log(JSON.stringify({ interrupted, failed }))
process.exit()
