/** Whether this is the emulated POWER host, on which everything takes some thirty times as long. */
export const emulated = process.arch === 'ppc64'

/** By so much a limit of time has to be longer here. */
export const slowdown = emulated ? 30 : 1

/** Of cases that are the same on any processor: all, or on an emulated one a share of them. */
export function cases(number: number, share = 1 / 10): number {
  return emulated ? Math.ceil(number * share) : number
}
