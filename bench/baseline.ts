import { execFileSync } from 'node:child_process'

/** The time of bench/baseline.c for one call, in ns, by row and number of vCPUs. */
export class Baseline {
  readonly #program: string
  readonly #threads: number
  readonly #ns = new Map<string, number>()

  constructor(program: string, threads: number) {
    this.#program = program
    this.#threads = threads
  }

  /** Runs the program once more. Of several runs the shortest time counts. */
  run(args: readonly number[], device = '/dev/kvm'): void {
    const given = [device, this.#threads, ...args].map(String)
    const output = execFileSync(this.#program, given, { encoding: 'utf8' })
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
