/** Whether this is the emulated POWER host, on which everything takes some thirty times as long. */
export const emulated = process.arch === 'ppc64'

/** The factor by which time limits are longer on the emulated host. */
export const slowdown = emulated ? 30 : 1

/** The mutation tester runs each test for hundreds of mutants. */
const perMutant = process.env['KVM_PPC_MUTATED'] === undefined ? 1 : 1 / 50

/** Of cases that are the same on any processor: all, or a share of them where all take too long. */
export function cases(number: number, share = 1 / 10): number {
  return Math.ceil(number * (emulated ? share : perMutant))
}
