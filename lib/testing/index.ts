/** For the tests of programs that use this library: `kvm-ppc-onereg/testing`. */
export { FailingKernel } from './failing-kernel.ts'
export type { Fault, Operation } from '../faults.ts'
