/// <reference types="node" preserve="true" />
/// <reference lib="esnext.disposable" preserve="true" />
/** Tries on a POWER host what this library promises: `kvm-ppc-onereg/verify`. */
export { verify } from './verify.ts'
export type { Certificate, TriedPromise, VerifyOptions, VerifyProgress } from './certificate.ts'
export type { Difference, Figure } from './trial.ts'
export type { KvmKind } from '../kvm/this-machine.ts'
