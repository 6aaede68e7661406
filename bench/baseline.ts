import { execFileSync } from 'node:child_process'

/** What bench/baseline.c needs for one call, in ns, by row and number of vCPUs. */
export class Baseline {
  readonly #ns = new Map<string, number>()

  /** Runs it once more; the shorter time counts. */
  run(program: string, args: readonly string[]): void {
    const output = execFileSync(program, args, { encoding: 'utf8' })
    for (const line of output.trimEnd().split('\n')) {
      const { row, vcpus, ns } = JSON.parse(line) as { row: string; vcpus: number; ns: number }
      const key = `${row} ${vcpus}`
      this.#ns.set(key, Math.min(ns, this.#ns.get(key) ?? Infinity))
    }
  }

  ns(row: string, vcpus = 1): number {
    const ns = this.#ns.get(`${row} ${vcpus}`)
    if (ns === undefined) throw new Error(`The C program has no row ${row} for ${vcpus} vCPUs`)
    return ns
  }
}
