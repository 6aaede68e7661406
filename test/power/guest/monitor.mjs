// The guest of the command verify, as examples/borrowed-vcpu.mjs wants a monitor: it has made vCPUs of its own.

import { createRequire } from 'node:module'

const { Guest } = createRequire(import.meta.url)('../../../build/Release/kvm_ppc_guest.node')
const guest = new Guest(2, 'watch')

export const vcpuFds = () => guest.vcpuFds()
export const close = () => guest.close()
