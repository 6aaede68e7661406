/** For the tests of programs that use this library: `kvm-ppc-onereg/testing`. */
export { FailingKernel } from './failing-kernel.ts'
