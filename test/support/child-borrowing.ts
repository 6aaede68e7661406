import { openHost } from '../../lib/kvm/host.ts'
import { KvmError } from '../../lib/errors.ts'
import { errorOf } from './error-of.ts'

// Uses the vCPU behind file descriptor 3, which another process made, and prints the errors.
const [vcpuId = '', registerId = ''] = process.argv.slice(2)
const id = BigInt(registerId)
using host = openHost({ backend: 'kvm' })
const borrowed = host.vcpu(3, Number(vcpuId))
const errors = [
  errorOf(() => borrowed.getRaw(id)),
  errorOf(() => {
    borrowed.setRaw(id, new Uint8Array(8))
  }),
  errorOf(() => borrowed.has('TB_OFFSET')),
  errorOf(() => borrowed.read(['TB_OFFSET'])),
]
console.log(
  JSON.stringify(
    errors.map((error) => {
      if (!(error instanceof KvmError)) return String(error)
      const { name, code, errno, syscall, operation, register, vcpu, message } = error
      return { name, code, errno, syscall, operation, register, vcpu, message }
    }),
  ),
)
