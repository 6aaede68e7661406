import { Host, SoftwareKernel } from 'kvm-ppc-onereg'
import type { OneRegBatch } from 'kvm-ppc-onereg'

// Measures how many bytes of garbage a call makes in this library, with a kernel that makes none.

const CALLS = 1_000_000

class NoKernel extends SoftwareKernel {
  override getOneRegs(batch: OneRegBatch): number {
    batch.results[0] = 0
    return 0
  }
}

const vcpu = new Host(new NoKernel()).createVm().createVcpu(0)
const ten = [
  'DAR',
  'DSCR',
  'AMR',
  'UAMOR',
  'MMCR1',
  'SIAR',
  'SDAR',
  'MMCRA',
  'PURR',
  'SPURR',
] as const
const bound = vcpu.bind(ten)

function bytesOf(calls: number, round: (calls: number) => void): number {
  round(calls)
  globalThis.gc?.()
  const before = process.memoryUsage().heapUsed
  round(calls)
  return (process.memoryUsage().heapUsed - before) / calls
}

/** Exported, so that V8 cannot drop the calls whose results are put here. */
export let last: unknown

const figures = {
  'read of bound registers': bytesOf(CALLS, (calls) => {
    for (let call = 0; call < calls; call++) bound.read()
  }),
  'get of 32 bits': bytesOf(CALLS, (calls) => {
    for (let call = 0; call < calls; call++) last = vcpu.get('DSISR')
  }),
  'get of 64 bits': bytesOf(CALLS, (calls) => {
    for (let call = 0; call < calls; call++) last = vcpu.get('DAR')
  }),
  'read of 10 into an object': bytesOf(CALLS / 10, (calls) => {
    for (let call = 0; call < calls; call++) last = vcpu.read(ten)
  }),
}
console.log(JSON.stringify(figures))
