/** Whether this is the emulated POWER host, on which everything takes some thirty times as long. */
export const emulated = process.arch === 'ppc64'

/** The variable that is 1 on an emulated host whose clock counts instructions (`--icount`). */
export const instructionClockVariable = 'KVM_PPC_COUNTS_INSTRUCTIONS'

/** The variable that is 1 where QEMU ends for a vCPU whose id is not the next one: see ids-in-a-row.ts. */
export const idsInARowVariable = 'KVM_PPC_IDS_IN_A_ROW'

/** The factor by which time limits are longer on the emulated host. */
export const slowdown = emulated ? 30 : 1

/** Whether this run is for a mutant: the mutation tester runs each test for hundreds of them. */
export const isForMutant = process.env['KVM_PPC_MUTATED'] !== undefined

/** The number of cases to try: all, or a share of them on the emulated host, where all would take too long. */
export function cases(number: number, share = 1 / 10): number {
  if (emulated) return Math.ceil(number * share)
  return isForMutant ? Math.ceil(number / 50) : number
}
