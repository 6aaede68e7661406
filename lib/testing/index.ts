/// <reference types="node" preserve="true" />
/// <reference lib="esnext.disposable" preserve="true" />
/** For the tests of programs that use this library: `kvm-ppc-onereg/testing`. */
export { hostPair } from './host-pair.ts'
export type { HostPair, HostPairOptions } from './host-pair.ts'
export { TestHost } from './test-host.ts'
export type { RunningVcpu } from './test-host.ts'
export { HandMovedTime } from './hand-moved-time.ts'
export { assertGuestGoesOn } from './guest-goes-on.ts'
export { ticksToDecrementer } from './decrementer.ts'
export { FailingKernel } from './failing-kernel.ts'
export type { Fault, Operation } from './faults.ts'
