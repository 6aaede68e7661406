import { existsSync, readFileSync, writeFileSync } from 'node:fs'

/** The file with the mark for lines on the console, which /init writes. Only the emulated host has it. */
const tokenFile = '/power/token'
const token = existsSync(tokenFile) ? readFileSync(tokenFile, 'utf8').trim() : undefined

/**
 * Says something to power-host/lib/host-console.ts, past the output and at once: what is said has left the
 * emulated host when this returns, even if the next thing done here never ends.
 */
export function tell(word: 'at' | 'done' | 'result', rest: string): void {
  if (token === undefined) return
  // One write, or another's could come in between.
  writeFileSync('/dev/console', `\x1e${token} ${word} ${rest.replaceAll(/[\r\n]/g, ' ')}\n`)
}
