/**
 * Whether there is time for one run more, all in seconds. It is taken to last as long as the longest so
 * far.
 */
export function timeForOneMore(budget: number, taken: readonly number[]): boolean {
  const spent = taken.reduce((sum, one) => sum + one, 0)
  return spent + Math.max(0, ...taken) <= budget
}
