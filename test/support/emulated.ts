/** Whether this is the emulated POWER host, on which everything takes some thirty times as long. */
export const emulated = process.arch === 'ppc64'

/** Of cases that are the same on any processor: all, or on an emulated one a share of them. */
export function cases(number: number, share = 1 / 10): number {
  return emulated ? Math.ceil(number * share) : number
}
