/** How a program on an emulated host tells, step by step, what happens and whether it is as it must be. */

const failures: string[] = []

export function say(text: string): void {
  console.log(text)
}

/** Says what was looked at, and remembers it if it is not so. */
export function check(holds: boolean, what: string): void {
  say(`   ${holds ? 'ok' : 'NO'}  ${what}`)
  if (!holds) failures.push(what)
}

/** Ends the program: with 0 and these words, or with 1 if a check failed. */
export function conclude(words: string): never {
  say(failures.length === 0 ? `\n${words}` : `\n${failures.length} failed`)
  process.exit(failures.length === 0 ? 0 : 1)
}

/** Ticks at 512 MHz as milliseconds. */
export function ms(ticks: bigint): string {
  return `${(Number(ticks) / 512_000).toFixed(3)} ms`
}
